import type { EngineParts } from "../engine/engine-parts";
import type { ModelRunner } from "../engine/model-runner";
import { geometryWithWindows } from "../kv/geometry.fixture";
import type { Connector } from "../offload/connector";
import type { GenerateEvent, GenerateRequest } from "../protocol/messages";
import { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOptions } from "../scheduler/scheduler-options";
import { ChatTemplate } from "../tokenizer/chat-template";
import { Tokenizer } from "../tokenizer/tokenizer";
import { FAKE_INFO } from "./fake-engine-worker";

/** Every microtask that the engine and a runner that holds nothing have due. */
export const settle = () => new Promise((resolve) => setTimeout(resolve));

export const BOS = 0;
export const EOS = 1;
/** Tokens by text; "ð" is the first byte of a character of four. */
const PIECES = ["<bos>", "<eos>", "a", "b", "c", "d", "Ġ", "ab", "bc", "cd", "ð", "<think>"];

/** Id of a token of the test vocabulary. */
export function id(piece: string): number {
  return PIECES.indexOf(piece);
}

export function makeTokenizer(): Tokenizer {
  const special = (content: string) => ({ id: id(content), content, special: true, normalized: false });
  const bos = { SpecialToken: { id: "<bos>", type_id: 0 } };
  const text = { Sequence: { id: "A", type_id: 0 } };
  const json = {
    version: "1.0",
    added_tokens: [special("<bos>"), special("<eos>")],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    post_processor: {
      type: "TemplateProcessing",
      single: [bos, text],
      pair: [bos, text, text],
      special_tokens: { "<bos>": { id: "<bos>", ids: [BOS], tokens: ["<bos>"] } },
    },
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: { type: "BPE", vocab: Object.fromEntries(PIECES.map((piece, index) => [piece, index])), merges: [] },
  };
  return new Tokenizer(json, null);
}

const TEMPLATE =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" +
  "{{ m.content }}{% endfor %}";

const MAX_MODEL_LEN = 32;

/** With a row for each of two requests, and two steps in flight. */
export function makeScheduler(
  options: Partial<SchedulerOptions> = {},
  connectors: readonly Connector[] = [],
): Scheduler {
  const all: SchedulerOptions = {
    geometry: geometryWithWindows([null, 16]),
    numBlocks: 17,
    maxNumRunning: 2,
    maxNumBatchedTokens: 8,
    maxPrefillChunkTokens: null,
    maxModelLen: MAX_MODEL_LEN,
    maxInFlightSteps: 2,
    usePrefixCache: true,
    admissionWatermark: 0,
    ...options,
  };
  return new Scheduler(all, connectors);
}

export function makeParts(runner: ModelRunner, overrides: Partial<EngineParts> = {}): EngineParts {
  return {
    info: { ...FAKE_INFO, vocabSize: PIECES.length, maxModelLen: MAX_MODEL_LEN },
    scheduler: makeScheduler(),
    runner,
    rebuildRunner: () => Promise.reject(new Error("there is no other device")),
    maxDeviceLosses: 1,
    geometry: geometryWithWindows([null, 16]),
    offload: null,
    tokenizer: makeTokenizer(),
    chatTemplate: new ChatTemplate(TEMPLATE, { bos_token: "<bos>" }),
    eosTokenIds: [EOS],
    samplingDefaults: { temperature: null, topK: null, topP: null, minP: null, repetitionPenalty: null },
    maxModelLen: MAX_MODEL_LEN,
    weightsHash: "",
    constrain: () => Promise.reject(new Error("there are no grammars")),
    ...overrides,
  };
}

export function makeRequest(requestId: string, fields: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    requestId,
    input: { kind: "text", text: "ab" },
    maxTokens: 8,
    sampling: { temperature: 0, topK: null, topP: null, minP: null, seed: [1, 2] },
    stop: [],
    priority: 0,
    usePrefixCache: true,
    cacheSalt: null,
    ...fields,
  };
}

/** What a list of events says, the ids and times left out: text, and how it ended. */
export function summarize(events: readonly GenerateEvent[]): string {
  const words = events.map((event) => {
    switch (event.kind) {
      case "started":
        return "started";
      case "delta":
        return `"${event.text}"`;
      case "done":
        return `done:${event.finishReason}`;
      default:
        return `error:${event.error.code}`;
    }
  });
  return words.join(" ");
}
