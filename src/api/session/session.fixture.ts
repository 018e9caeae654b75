import type { ChatInput, GenerateEvent, GenerateRequest, PromptInput } from "../../protocol/messages";
import { FAKE_INFO, FakeEngine, FakeWorker } from "../../testing/fake-engine-worker";
import { CairnError } from "../../util/errors";
import { CairnEngine } from "../cairn-engine";
import { WorkerConnection } from "../worker-connection";

const usage = {
  promptTokens: 3,
  completionTokens: 2,
  cachedTokens: 3,
  cachedTokensByTier: { gpu: 3, host: 0, storage: 0 },
};
const timings = { queueMs: 1, timeToFirstTokenMs: 2, totalMs: 3 };

const STARTED: GenerateEvent = { kind: "started", promptTokenIds: [2] };
export const DONE: GenerateEvent = { kind: "done", finishReason: "stop", usage, timings };
export const said = (text: string): GenerateEvent => ({ kind: "delta", text, tokenIds: [1] });

/** What the fake engine counts: 2 tokens a message and one a character; 4 for the start of an answer. */
export function tokensOf(input: PromptInput): number {
  if (input.kind === "tokens") return input.tokenIds.length;
  if (input.kind === "text") return input.text.length;
  const numTokens = input.messages.reduce((sum, { content }) => sum + 2 + content.length, 0);
  return numTokens + (input.addGenerationPrompt === false ? 0 : 4);
}

const workers: FakeWorker[] = [];

/** Ends the workers of this test. */
export function endWorkers(): void {
  for (const worker of workers.splice(0)) worker.terminate();
}

/**
 * An engine that refuses what is too long for its context of 64 tokens, and answers the rest with `reply`, in two pieces; where
 * that gives null, not at all.
 */
export async function startEngine(
  reply: (request: GenerateRequest) => string | null = () => "Yes. No",
  { namespace = "", modelId = FAKE_INFO.modelId, toolFormat = FAKE_INFO.toolFormat } = {},
) {
  const served = new FakeEngine((engine, request) => {
    const numPromptTokens = tokensOf(request.input);
    const { maxModelLen } = FAKE_INFO;
    if (numPromptTokens >= maxModelLen) {
      const error = { code: "context_length_exceeded", message: "too long", data: { numPromptTokens, maxModelLen } };
      return engine.send(request.requestId, { kind: "error", error: error as never });
    }
    engine.send(request.requestId, STARTED);
    const text = reply(request);
    if (text === null) return;
    engine.send(request.requestId, said(text.slice(0, 4)), said(text.slice(4)), DONE);
  });
  served.tokensOf = tokensOf;
  Object.assign(served, { info: { ...FAKE_INFO, modelId, toolFormat } });
  const worker = new FakeWorker(async () => served);
  workers.push(worker);
  const connection = new WorkerConnection(worker, null);
  const init = { model: { kind: "url", url: "https://models.test/tiny/" } } as const;
  const engine = new CairnEngine(connection, await connection.init(init, null, null), namespace);
  return { served, worker, engine };
}

/** The messages that a request was of, as "role: text". */
export const sent = ({ input }: { readonly input: PromptInput }): string[] =>
  (input as ChatInput).messages.map(({ role, content }) => `${role}: ${content}`);

export const noTemplate = (): never => {
  throw new CairnError("chat_template", "no user message", { reason: "no user message" });
};
