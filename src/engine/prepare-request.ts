import type { PrefetchRequest } from "../protocol/kv-messages";
import type { GenerateRequest, PromptInput } from "../protocol/messages";
import { NEUTRAL_SAMPLING, type SamplingParams } from "../sampling/sampling-params";
import { Request } from "../scheduler/request";
import { encodeChat } from "../tokenizer/chat-template";
import { CairnError } from "../util/errors";
import type { EngineParts } from "./engine-parts";

/**
 * What the caller sent as the scheduler wants it. Throws `invalid_request` for token ids that the model does not have,
 * `invalid_tokenizer` where they are its own tokenizer's, and `chat_template` where the messages cannot be rendered.
 */
export function prepareRequest(request: GenerateRequest, parts: EngineParts): Request {
  const { requestId, input, maxTokens, sampling, priority, usePrefixCache, cacheSalt, kvStore } = request;
  return new Request({
    requestId,
    promptTokenIds: encodePrompt(input, parts),
    sampling: { ...resolveSampling(sampling, parts), isConstrained: request.grammar !== undefined },
    // The scheduler ends a request at the end of the context anyway.
    maxTokens: maxTokens ?? parts.maxModelLen,
    eosTokenIds: parts.eosTokenIds,
    priority,
    usePrefixCache,
    cacheSalt,
    store: kvStore,
  });
}

/** A request that generates nothing; throws as `prepareRequest`. */
export function preparePrefetch({ requestId, input, cacheSalt }: PrefetchRequest, parts: EngineParts): Request {
  return new Request({
    requestId,
    promptTokenIds: encodePrompt(input, parts),
    sampling: NEUTRAL_SAMPLING,
    maxTokens: 1,
    eosTokenIds: [],
    cacheSalt,
    isPrefetch: true,
  });
}

/** The prompt's ids. Throws as `prepareRequest`. */
export function encodePrompt(input: PromptInput, { tokenizer, chatTemplate, info }: EngineParts): readonly number[] {
  switch (input.kind) {
    case "tokens":
      checkTokenIds(input.tokenIds, info.vocabSize);
      return input.tokenIds;
    case "text":
      return checkOwnIds(tokenizer.encode(input.text, { addSpecialTokens: true }), info.vocabSize);
    case "chat":
      if (!chatTemplate) {
        const reason = "the model's files hold no chat template";
        throw new CairnError("chat_template", `This model cannot chat: ${reason}. Use completions.`, { reason });
      }
      return checkOwnIds(encodeChat(chatTemplate, tokenizer, input.messages, input), info.vocabSize);
    default:
      return input satisfies never;
  }
}

/** Ids that the tokenizer gave: it may be another model's, or have tokens for images that the text model has no row for. */
function checkOwnIds(tokenIds: readonly number[], vocabSize: number): readonly number[] {
  const tokenId = tokenIds.find((id) => id >= vocabSize);
  if (tokenId === undefined) return tokenIds;
  const message = `The tokenizer wrote the prompt with the id ${tokenId}; the model's ids go from 0 to ${vocabSize - 1}.`;
  throw new CairnError("invalid_tokenizer", message, { file: "tokenizer.json", tokenId, vocabSize });
}

function checkTokenIds(tokenIds: readonly number[], vocabSize: number): void {
  const index = tokenIds.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (index < 0) return;
  throw unknownId(`prompt[${index}]`, tokenIds[index], vocabSize);
}

function unknownId(param: string, value: number, vocabSize: number): CairnError {
  const message = `${param} is ${value}; the model's token ids go from 0 to ${vocabSize - 1}.`;
  return new CairnError("invalid_request", message, { param, value, vocabSize });
}

/** The caller's word, then that of the model's generation_config.json, then OpenAI's defaults, which leave all off. */
function resolveSampling(
  given: GenerateRequest["sampling"],
  { samplingDefaults: defaults, info }: EngineParts,
): Omit<SamplingParams, "isConstrained"> {
  for (const id of given.logitBias?.keys() ?? []) {
    if (id >= info.vocabSize) throw unknownId(`logit_bias.${id}`, id, info.vocabSize);
  }
  const neutral = NEUTRAL_SAMPLING;
  return {
    temperature: given.temperature ?? defaults.temperature ?? neutral.temperature,
    topK: given.topK ?? defaults.topK ?? neutral.topK,
    topP: given.topP ?? defaults.topP ?? neutral.topP,
    minP: given.minP ?? defaults.minP ?? neutral.minP,
    seed: given.seed ?? randomSeed(),
    repetitionPenalty: given.repetitionPenalty ?? defaults.repetitionPenalty ?? neutral.repetitionPenalty,
    presencePenalty: given.presencePenalty ?? neutral.presencePenalty,
    frequencyPenalty: given.frequencyPenalty ?? neutral.frequencyPenalty,
    logitBias: given.logitBias ?? neutral.logitBias,
    numLogprobs: given.numLogprobs ?? neutral.numLogprobs,
  };
}

function randomSeed(): readonly [low: number, high: number] {
  const [low, high] = crypto.getRandomValues(new Uint32Array(2));
  return [low, high];
}
