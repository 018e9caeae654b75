import type { CairnError, ErrorCode } from "../index";

/** What the reader can do about an error; `load` errors and `answer` errors offer different buttons for the same remedy. */
export type Remedy =
  /** The same thing may work next time. */
  | "retry"
  /** The engine is gone or useless; the model must be loaded again. */
  | "reload"
  /** The conversation is the reason. */
  | "new-chat"
  /** The question or the settings are the reason. */
  | "change-request"
  /** The model's files are the reason. */
  | "other-model"
  /** The browser or the machine is the reason. */
  | "environment";

export interface ErrorText {
  readonly headline: string;
  readonly advice: string;
  readonly remedy: Remedy;
}

const OUR_FAULT = "This is a fault in Cairn, not in what you did. Please report it with the details below.";
const BROKEN_FILES = "Download the model again, or open another folder.";

const TEXTS: Readonly<Record<ErrorCode, ErrorText>> = {
  invalid_request: {
    headline: "This request is not valid",
    advice: "Check the settings, then ask again.",
    remedy: "change-request",
  },
  unsupported_parameter: {
    headline: "A setting is not supported",
    advice: "Clear that setting, then ask again.",
    remedy: "change-request",
  },
  model_not_found: {
    headline: "Another model is loaded",
    advice: "Load the model that you want to ask.",
    remedy: "other-model",
  },
  context_length_exceeded: {
    headline: "The conversation no longer fits",
    advice:
      "The model reads the whole conversation for every answer, and its context is full. Start a new chat, or ask something shorter.",
    remedy: "new-chat",
  },
  cache_too_small: {
    headline: "Not enough cache for this conversation",
    advice: "Start a new chat, or ask something shorter.",
    remedy: "new-chat",
  },
  aborted: { headline: "Stopped", advice: "Nothing is wrong: the work was cancelled.", remedy: "retry" },
  numerical: {
    headline: "The model lost its numbers",
    advice:
      "It produced a value that is not a number. Ask again; if it happens every time, the weights may be damaged.",
    remedy: "retry",
  },
  model_file_missing: {
    headline: "A file of the model is missing",
    advice:
      "A model holds config.json, tokenizer.json and one or more .safetensors files, as on Hugging Face. Check its name, or choose the folder that holds them.",
    remedy: "other-model",
  },
  network: {
    headline: "A file could not be fetched",
    advice: "Check the connection, then try again. What has arrived of a download is kept.",
    remedy: "retry",
  },
  gated_model: {
    headline: "The hub does not hand out this model",
    advice:
      "It may be gated or private, or not exist. Accept its licence on its page at the hub, and enter an access token of your account.",
    remedy: "other-model",
  },
  integrity: {
    headline: "A file arrived damaged",
    advice: "It was fetched twice, and was not what the server announced. Try again later, or open another model.",
    remedy: "retry",
  },
  busy: {
    headline: "The model is being loaded",
    advice: "This tab or another one reads its files. Wait until it is ready, then try again.",
    remedy: "retry",
  },
  invalid_config: {
    headline: "config.json cannot be used",
    advice: BROKEN_FILES,
    remedy: "other-model",
  },
  invalid_tokenizer: { headline: "The tokenizer cannot be read", advice: BROKEN_FILES, remedy: "other-model" },
  invalid_safetensors: {
    headline: "The weights file is damaged",
    advice: `It may have been cut short while it was downloaded. ${BROKEN_FILES}`,
    remedy: "other-model",
  },
  tensor_missing: { headline: "Some weights are missing", advice: BROKEN_FILES, remedy: "other-model" },
  tensor_shape: {
    headline: "The weights do not match config.json",
    advice: "The files may come from two different models. Open a folder whose files belong together.",
    remedy: "other-model",
  },
  unsupported_architecture: {
    headline: "Cairn does not know this kind of model",
    advice: "It runs the Llama family (Llama 2 and 3, SmolLM2, TinyLlama) and Gemma 3 text models.",
    remedy: "other-model",
  },
  unsupported_dtype: {
    headline: "The weights are in a format that Cairn cannot read",
    advice: "Use a copy of the model in bfloat16, float16 or float32.",
    remedy: "other-model",
  },
  chat_template: {
    headline: "The model's chat template refused",
    advice: "Start a new chat. If it happens again, this model is not made for chatting.",
    remedy: "new-chat",
  },
  no_webgpu: {
    headline: "This browser has no WebGPU",
    advice: "Open this page in a current version of Chrome, Edge, Firefox or Safari.",
    remedy: "environment",
  },
  no_adapter: {
    headline: "No GPU answered",
    advice:
      "WebGPU is here, but the browser found no graphics adapter to run on. Turn on hardware acceleration in its settings, restart it, then try again.",
    remedy: "environment",
  },
  out_of_memory: {
    headline: "Not enough memory",
    advice: "Close other tabs and programs that use the graphics card, then try again, or open a smaller model.",
    remedy: "environment",
  },
  device_limit: {
    headline: "The model is too large for this GPU",
    advice: "The graphics adapter does not allow what this model needs. Open a smaller model.",
    remedy: "other-model",
  },
  device_lost: {
    headline: "The GPU went away",
    advice: "The browser or its driver reset the graphics adapter. Load the model again; this chat stays.",
    remedy: "reload",
  },
  device_incorrect: {
    headline: "This GPU computes wrong results",
    advice:
      "The model would answer nonsense, so it was not loaded. An update of the browser or of the graphics driver may help.",
    remedy: "environment",
  },
  gpu_error: { headline: "The GPU refused a command", advice: OUR_FAULT, remedy: "reload" },
  session_missing: {
    headline: "This conversation is not there",
    advice: "It was deleted, or saved in another browser.",
    remedy: "new-chat",
  },
  invalid_session: {
    headline: "This conversation cannot be opened",
    advice: "What was saved is damaged, or is not for this model.",
    remedy: "new-chat",
  },
  storage_failed: {
    headline: "The conversation could not be kept",
    advice: "The browser has no more room, or keeps nothing in private windows.",
    remedy: "environment",
  },
  disposed: {
    headline: "The model is no longer loaded",
    advice: "Load it again; this chat stays.",
    remedy: "reload",
  },
  worker_failed: {
    headline: "The engine could not run",
    advice: "Its worker did not start, or ended. Load the model again; this chat stays.",
    remedy: "reload",
  },
  internal: { headline: "Something broke inside Cairn", advice: OUR_FAULT, remedy: "reload" },
};

/** Plain words for an error; the error's own message, with its numbers, is shown beside them. */
export function describeError(error: CairnError): ErrorText {
  return TEXTS[error.code];
}

/** What a report needs, one `name: value` a line: the code, then the data. */
export function errorDetails(error: CairnError): string {
  const data = Object.entries(error.data).map(([name, value]) => `${name}: ${JSON.stringify(value) ?? String(value)}`);
  return [`code: ${error.code}`, ...data].join("\n");
}
