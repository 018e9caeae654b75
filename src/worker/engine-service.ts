import type { KvStats, KvTier, PrefetchRequest, PrefetchResult } from "../protocol/kv-messages";
import type { MemoryPlan } from "../protocol/memory-plan";
import {
  ENGINE_WORKER_NAME,
  type EngineInfo,
  type EngineInit,
  type EngineWorkerApi,
  type GenerateCommand,
  type GenerateEvent,
  type GenerateRequest,
  type LoadProgress,
  type PartSource,
  type PromptInput,
} from "../protocol/messages";
import { assert, CairnError, toWireError } from "../util/errors";

/** What the service needs of an Engine. */
export interface ServedEngine {
  readonly info: EngineInfo;
  /** Why it takes no more requests; null while it does. */
  readonly failure: CairnError | null;
  generate(request: GenerateRequest, sink: (event: GenerateEvent) => void): void;
  abort(requestId: string): void;
  countTokens(input: PromptInput): number;
  kvStats(): KvStats;
  kvClear(tiers: readonly KvTier[]): Promise<void>;
  kvFlush(): Promise<void>;
  kvPrefetch(request: PrefetchRequest): Promise<PrefetchResult>;
  dispose(): void;
}

export interface LoadContext<Device> {
  readonly gpu: Device;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
  readonly partSource: PartSource | null;
}

export interface EngineServiceOptions<Device> {
  /** The worker's `navigator.gpu`; null where the browser has no WebGPU. */
  readonly gpu: Device | null;
  load(init: EngineInit, context: LoadContext<Device>): Promise<ServedEngine>;
  plan(init: EngineInit, context: Omit<LoadContext<Device>, "onProgress">): Promise<MemoryPlan>;
}

/** The worker's side of the thread boundary: one engine behind Comlink calls, one port a request. */
export class EngineService<Device> implements EngineWorkerApi {
  readonly #options: EngineServiceOptions<Device>;
  /** Of all that takes its time before there is an engine. */
  readonly #starting = new AbortController();
  #engine: Promise<ServedEngine> | null = null;
  #isDisposed = false;

  constructor(options: EngineServiceOptions<Device>) {
    this.#options = options;
  }

  async identify(): Promise<typeof ENGINE_WORKER_NAME> {
    return ENGINE_WORKER_NAME;
  }

  /** Rejects with `no_webgpu`, `aborted`, `disposed`, or what planning threw. */
  async plan(init: EngineInit, cancel: MessagePort, partSource: PartSource | null): Promise<MemoryPlan> {
    return this.#begin(cancel, (gpu, signal) => this.#options.plan(init, { gpu, signal, partSource }));
  }

  /** May be called once. Rejects with what is wrong: `no_webgpu`, `aborted`, `disposed`, or what loading threw. */
  async init(
    init: EngineInit,
    onProgress: ((progress: LoadProgress) => void) | null,
    cancel: MessagePort | null,
    partSource: PartSource | null,
  ): Promise<EngineInfo> {
    assert(!this.#engine, "initialized twice");
    this.#engine = this.#begin(cancel, async (gpu, signal) => {
      const context = { gpu, onProgress: onProgress ?? (() => {}), signal, partSource };
      const engine = await this.#options.load(init, context);
      if (signal.aborted) engine.dispose();
      return engine;
    });
    return (await this.#engine).info;
  }

  async generate(request: GenerateRequest, port: MessagePort): Promise<void> {
    const send = (event: GenerateEvent) => port.postMessage(event);
    try {
      const engine = await this.#ready();
      port.onmessage = ({ data }: MessageEvent<GenerateCommand>) => {
        if (data.kind === "abort") engine.abort(request.requestId);
      };
      engine.generate(request, send);
    } catch (error) {
      send({ kind: "error", error: toWireError(error) });
    }
  }

  async countTokens(input: PromptInput): Promise<number> {
    return (await this.#ready()).countTokens(input);
  }

  async kvStats(): Promise<KvStats> {
    return (await this.#ready()).kvStats();
  }

  async kvClear(tiers: readonly KvTier[]): Promise<void> {
    await (await this.#ready()).kvClear(tiers);
  }

  async kvFlush(): Promise<void> {
    await (await this.#ready()).kvFlush();
  }

  async kvPrefetch(request: PrefetchRequest): Promise<PrefetchResult> {
    return (await this.#ready()).kvPrefetch(request);
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    this.#starting.abort(new CairnError("disposed", "The engine was disposed while it was loading."));
    const engine = await this.#engine?.catch(() => null);
    engine?.dispose();
  }

  /** The engine, once it is loaded. Rejects with what the load threw, and with `disposed` from `dispose` on. */
  async #ready(): Promise<ServedEngine> {
    const engine = await this.#engine;
    if (this.#isDisposed) throw new CairnError("disposed", "The engine was disposed.");
    assert(engine, "not initialized");
    return engine;
  }

  /** Runs until the end, a message on `cancel`, or `dispose`; in the last two it rejects with the signal's reason. */
  async #begin<T>(cancel: MessagePort | null, run: (gpu: Device, signal: AbortSignal) => Promise<T>): Promise<T> {
    const { gpu } = this.#options;
    const { signal } = this.#starting;
    if (cancel) cancel.onmessage = () => this.#starting.abort(new CairnError("aborted", "The call was aborted."));
    try {
      if (gpu === null) throw new CairnError("no_webgpu", "This browser has no WebGPU, or not in workers.");
      const result = await run(gpu, signal);
      signal.throwIfAborted();
      return result;
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      cancel?.close();
    }
  }
}
