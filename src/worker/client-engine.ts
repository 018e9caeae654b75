import type { KvStats, KvTier, PrefetchRequest, PrefetchResult } from "../protocol/kv-messages";
import type { EngineInfo, GenerateEvent, GenerateRequest, PromptInput } from "../protocol/messages";
import { CairnError, toWireError } from "../util/errors";
import type { ServedEngine } from "./engine-service";

interface LiveRequest {
  readonly requestId: string;
  readonly sink: (event: GenerateEvent) => void;
}

/** An engine as one of its clients has it: request ids are its own, and `dispose` ends its requests and no other's. */
export class ClientEngine implements ServedEngine {
  readonly info: EngineInfo;
  readonly #engine: ServedEngine;
  readonly #idPrefix: string;
  readonly #onDispose: () => void;
  readonly #live = new Set<LiveRequest>();

  /** `idPrefix`: another one for each client. `onDispose` may be called more than once. */
  constructor(engine: ServedEngine, idPrefix: string, onDispose: () => void) {
    this.info = engine.info;
    this.#engine = engine;
    this.#idPrefix = idPrefix;
    this.#onDispose = onDispose;
  }

  get failure(): CairnError | null {
    return this.#engine.failure;
  }

  generate(request: GenerateRequest, sink: (event: GenerateEvent) => void): void {
    const live = { requestId: this.#idPrefix + request.requestId, sink };
    this.#live.add(live);
    this.#engine.generate({ ...request, requestId: live.requestId }, (event) => {
      if (!this.#live.has(live)) return;
      if (event.kind === "done" || event.kind === "error") this.#live.delete(live);
      sink(event);
    });
  }

  abort(requestId: string): void {
    this.#engine.abort(this.#idPrefix + requestId);
  }

  countTokens(input: PromptInput): number {
    return this.#engine.countTokens(input);
  }

  kvStats(): KvStats {
    return this.#engine.kvStats();
  }

  kvClear(tiers: readonly KvTier[]): Promise<void> {
    return this.#engine.kvClear(tiers);
  }

  kvFlush(): Promise<void> {
    return this.#engine.kvFlush();
  }

  kvPrefetch(request: PrefetchRequest): Promise<PrefetchResult> {
    return this.#engine.kvPrefetch({ ...request, requestId: this.#idPrefix + request.requestId });
  }

  dispose(): void {
    const error = toWireError(new CairnError("disposed", "The engine was disposed."));
    for (const live of this.#live) {
      this.#live.delete(live);
      live.sink({ kind: "error", error });
      this.#engine.abort(live.requestId);
    }
    this.#onDispose();
  }
}
