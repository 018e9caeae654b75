import { parse, tokenize } from "@huggingface/jinja";
import type { ChatInput, ChatMessage, ToolFormat } from "../protocol/messages";
import { CairnError, reasonOf } from "../util/errors";
import { isRecord } from "../util/json";
import { renderTemplate } from "./template-interpreter";
import type { Tokenizer } from "./tokenizer";
import type { TokenizerFiles } from "./tokenizer-files";

/** What is rendered beside the messages. */
export type RenderOptions = Omit<ChatInput, "kind" | "messages">;

/** Named tokens of tokenizer_config.json that templates may use as variables. */
const TOKEN_VARIABLES = ["bos_token", "eos_token", "unk_token", "pad_token"] as const;

/** A model's own Jinja template, which turns messages into the text that it was trained on. */
export class ChatTemplate {
  readonly #source: string;
  readonly #variables: Readonly<Record<string, unknown>>;
  #program: ReturnType<typeof parse> | null = null;

  /** The template of chat_template.jinja, else the default one of tokenizer_config.json; null when there is none. */
  static async load(files: TokenizerFiles, signal?: AbortSignal): Promise<ChatTemplate | null> {
    const options = { optional: true, signal, invalidCode: "invalid_tokenizer" } as const;
    const config = await files.readJson("tokenizer_config.json", options);
    const tokenizerConfig = isRecord(config) ? config : {};
    const source = (await files.readText("chat_template.jinja", options)) ?? templateOf(tokenizerConfig);
    return source === null ? null : new ChatTemplate(source, tokenizerConfig);
  }

  /** `tokenizerConfig` is the content of tokenizer_config.json. A template that cannot be read fails when it is rendered. */
  constructor(source: string, tokenizerConfig: Readonly<Record<string, unknown>>) {
    this.#source = source;
    const tokens = TOKEN_VARIABLES.map((name) => [name, tokenContent(tokenizerConfig[name])] as const);
    this.#variables = Object.fromEntries(tokens.filter(([, content]) => content !== null));
  }

  /** How it has the model write tool calls, by what is written in it. */
  get toolFormat(): ToolFormat {
    const source = this.#source;
    if (!/\btools\b/.test(source)) return "json";
    if (source.includes("<tool_call>")) return "hermes";
    if (source.includes("[TOOL_CALLS]")) return "mistral";
    return /<\|python_tag\|>|ipython/.test(source) ? "llama3" : "json";
  }

  /** It has the model think before it answers. */
  get hasReasoning(): boolean {
    return this.#source.includes("</think>");
  }

  /** Throws `chat_template` { reason } when the template is broken, refuses the messages, or takes far more work than one needs. */
  render(
    messages: readonly ChatMessage[],
    { tools, templateKwargs, addGenerationPrompt = true }: RenderOptions = {},
  ): string {
    try {
      // The line breaks and indents of lines that are only a tag are no text, as models' templates are written.
      this.#program ??= parse(tokenize(this.#source, { lstrip_blocks: true, trim_blocks: true }));
      return renderTemplate(this.#program, {
        ...this.#variables,
        // Templates ask whether these are none; left out, they would be undefined instead.
        documents: null,
        ...templateKwargs,
        tools: tools ?? null,
        messages,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (thrown) {
      const reason = reasonOf(thrown);
      const message = `The model's chat template failed: ${reason}`;
      throw new CairnError("chat_template", message, { reason }, { cause: thrown });
    }
  }
}

function templateOf({ chat_template: template }: Readonly<Record<string, unknown>>): string | null {
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) return null;
  const named = template.filter(isRecord);
  const chosen = named.find((entry) => entry.name === "default") ?? (named.length === 1 ? named[0] : undefined);
  return typeof chosen?.template === "string" ? chosen.template : null;
}

function tokenContent(token: unknown): string | null {
  const content = isRecord(token) ? token.content : token;
  return typeof content === "string" ? content : null;
}

/** Prompt ids of a conversation. The template's own BOS counts; where it has none, the tokenizer adds its own. */
export function encodeChat(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: RenderOptions = {},
): number[] {
  const text = template.render(messages, options);
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const hasLeadingIds = tokenizer.leadingIds.every((id, index) => ids[index] === id);
  return hasLeadingIds ? ids : tokenizer.encode(text, { addSpecialTokens: true });
}

/** The added token with which the template ends an assistant's turn, such as <|im_end|>; empty when it uses none. */
export function endOfTurnIds(tokenizer: Tokenizer, template: ChatTemplate): number[] {
  const answer = "The answer of the assistant";
  const messages = [
    { role: "user", content: "A question" },
    { role: "assistant", content: answer },
  ];
  const text = renderOrNull(template, messages);
  if (text === null || !text.includes(answer)) return [];
  const afterAnswer = text.slice(text.lastIndexOf(answer) + answer.length).trimStart();
  const [first] = tokenizer.encode(afterAnswer, { addSpecialTokens: false });
  return first !== undefined && tokenizer.isAdded(first) ? [first] : [];
}

function renderOrNull(template: ChatTemplate, messages: readonly ChatMessage[]): string | null {
  try {
    return template.render(messages, { addGenerationPrompt: false });
  } catch {
    // Whatever is wrong with the template is said when a conversation is rendered.
    return null;
  }
}
