import { expose } from "comlink";
import type { WorkerLike } from "../api/worker-connection";
import { installErrorTransfer } from "../protocol/comlink-errors";
import type { KvStats, KvTier, PrefetchRequest, PrefetchResult } from "../protocol/kv-messages";
import type { MemoryPlan } from "../protocol/memory-plan";
import type {
  EngineInfo,
  EngineInit,
  GenerateEvent,
  GenerateRequest,
  LoadProgress,
  PromptInput,
} from "../protocol/messages";
import { CairnError, toWireError } from "../util/errors";
import { EngineService, type ServedEngine } from "../worker/engine-service";
import { SAMPLE_KV_STATS } from "./sample-kv-stats";

export const FAKE_INFO: EngineInfo = {
  modelId: "tiny",
  architecture: "llama",
  numParameters: 10,
  weightBytes: 20,
  quantization: "none",
  vocabSize: 100,
  maxModelLen: 64,
  kvDtype: "f16",
  kvCacheBytes: 1024,
  numBlocks: 8,
  hasChatTemplate: true,
  toolFormat: "json",
  hasSystemRole: true,
  hasReasoning: false,
  adapter: { vendor: "none", architecture: "none", description: "none" },
  features: { f16: false, subgroups: false },
  warnings: [],
};

export const FAKE_PLAN: MemoryPlan = {
  modelId: "tiny",
  architecture: "llama",
  numParameters: 10,
  downloadBytes: 30,
  weightBytes: 20,
  kvCacheBytes: 1024,
  kvBytesPer1000Tokens: 8064,
  stepStateBytes: 1,
  scratchBytes: 2,
  stagingBytes: 3,
  gpuBytes: 1050,
  hostCacheBytes: 4096,
  maxModelLen: 64,
  longestModelLen: 128,
  maxPositionEmbeddings: 128,
  device: { maxBufferBytes: 2048, maxBindingBytes: 1024, features: { f16: false, subgroups: false } },
};

type Sink = (event: GenerateEvent) => void;

/** An engine that does what the test says: each request's events are sent by hand, `prefetch` answers prefetches. */
export class FakeEngine implements ServedEngine {
  readonly info: EngineInfo;
  failure: CairnError | null = null;
  readonly requests: GenerateRequest[] = [];
  readonly aborted: string[] = [];
  readonly cleared: (readonly KvTier[])[] = [];
  readonly prefetches: PrefetchRequest[] = [];
  /** What counting throws is thrown on the page. */
  tokensOf: (input: PromptInput) => number = () => 7;
  prefetch: () => Promise<PrefetchResult> = async () => ({
    promptTokens: 40,
    tokens: { gpu: 16, host: 8, storage: 8 },
  });
  /** Resolves flushes; unless set they resolve at once. */
  flush: () => Promise<void> = async () => {};
  numFlushes = 0;
  numDisposals = 0;
  readonly #sinks = new Map<string, Sink>();
  readonly #onRequest: (engine: FakeEngine, request: GenerateRequest) => void;

  constructor(onRequest: (engine: FakeEngine, request: GenerateRequest) => void = () => {}, info = FAKE_INFO) {
    this.#onRequest = onRequest;
    this.info = info;
  }

  generate(request: GenerateRequest, sink: Sink): void {
    this.requests.push(request);
    this.#sinks.set(request.requestId, sink);
    this.#onRequest(this, request);
  }

  abort(requestId: string): void {
    this.aborted.push(requestId);
    this.send(requestId, { kind: "error", error: toWireError(new CairnError("aborted", "aborted in the worker")) });
  }

  countTokens(input: PromptInput): number {
    return this.tokensOf(input);
  }

  kvStats(): KvStats {
    return SAMPLE_KV_STATS;
  }

  async kvClear(tiers: readonly KvTier[]): Promise<void> {
    this.cleared.push(tiers);
  }

  async kvFlush(): Promise<void> {
    this.numFlushes++;
    await this.flush();
  }

  kvPrefetch(request: PrefetchRequest): Promise<PrefetchResult> {
    this.prefetches.push(request);
    return this.prefetch();
  }

  dispose(): void {
    this.numDisposals++;
  }

  send(requestId: string, ...events: readonly GenerateEvent[]): void {
    for (const event of events) this.#sinks.get(requestId)?.(event);
  }
}

export type FakeLoad = (
  init: EngineInit,
  context: { onProgress: (progress: LoadProgress) => void; signal: AbortSignal },
) => Promise<ServedEngine>;

export type FakePlan = (init: EngineInit, context: { signal: AbortSignal }) => Promise<MemoryPlan>;

/** A Worker in the same thread: the real service behind real ports, with a loader and a planner of the test's own. */
export class FakeWorker extends EventTarget implements WorkerLike {
  readonly #channel = new MessageChannel();
  isTerminated = false;

  /** `api`: what the worker's script exposes, in place of the service. */
  constructor(load: FakeLoad, api?: object, plan: FakePlan = async () => FAKE_PLAN) {
    super();
    installErrorTransfer();
    expose(api ?? new EngineService({ gpu: {}, load, plan }), this.#channel.port2);
    this.#channel.port1.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent("message", { data }));
  }

  postMessage(message: unknown, transfer: Transferable[] = []): void {
    this.#channel.port1.postMessage(message, transfer);
  }

  terminate(): void {
    this.isTerminated = true;
    this.#channel.port1.close();
  }

  /** As the browser does when the script fails to load or throws outside any call. */
  fail(message: string): void {
    this.dispatchEvent(Object.assign(new Event("error"), { message }));
  }
}
