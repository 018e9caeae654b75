import { type LoadedParts, loadEngineParts } from "../engine/load-engine";
import type { StorageParts } from "../engine/make-offload";
import type { KvKey } from "../kv/chunk";
import type { EngineConfig } from "../protocol/engine-config";
import type { PrefetchResult, TokensByTier } from "../protocol/kv-messages";
import type { EngineInit, GenerateEvent, GenerateRequest } from "../protocol/messages";
import type { StepObserver } from "../runner/step-trace";
import type { SchedulerOptions } from "../scheduler/scheduler-options";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import {
  engineOver,
  type GreedyOutcome,
  generateGreedy,
  type OpenEngine,
  untilAllEnded,
  untilIdle,
} from "./engine-over";
import { loadPart } from "./lazy-parts";
import { logitRows } from "./logit-rows";
import { WatchedGpu } from "./watched-gpu";

/** What a request gave, where its prompt's KV was, and the logits of each of its steps. */
export interface Answer extends GreedyOutcome {
  /** Null where it ended with an error. */
  readonly found: TokensByTier | null;
  readonly logits: readonly Float32Array[];
}

export interface AskOptions extends Pick<Partial<GenerateRequest>, "kvStore" | "cacheSalt"> {
  /** A new one unless given. */
  readonly requestId?: string;
  readonly onEvent?: (event: GenerateEvent) => void;
}

export interface RigEngine extends OpenEngine {
  ask(promptIds: readonly number[], maxTokens: number, options?: AskOptions): Promise<Answer>;
  /** Until all is done, stores included; then its books must be in order. */
  rest(): Promise<void>;
  /** Ends it as a page is closed: what is on its way to storage is lost. No request may wait for storage. */
  end(): Promise<void>;
}

/** How an engine of a rig differs from the one that was loaded. */
export interface RigOptions extends Partial<SchedulerOptions> {
  /** A step lands only when its stores have ended, as on a device where computing takes longer than a map. */
  readonly landsAfterStores?: boolean;
  readonly config?: Partial<EngineConfig>;
  /** Slots in RAM; those of the loaded engine unless given. */
  readonly numHostSlots?: number;
  /** None unless given. */
  readonly storage?: StorageParts;
}

/** Several engines with offload, one after the other over one device, with their logits and the host's bytes in sight. */
export class OffloadRig {
  readonly parts: LoadedParts;
  /** How late each store's map is. */
  mapDelayMs = 0;
  /** Sees the steps of all engines. */
  onStep: StepObserver = () => {};
  readonly #watched: WatchedGpu;
  readonly #logits: Map<string, Float32Array[]>;

  /** No id ends a text, so that every one has as many tokens as were asked for. */
  static async open(gpu: GPU, init: EngineInit): Promise<OffloadRig> {
    const logits = new Map<string, Float32Array[]>();
    const watched = new WatchedGpu(gpu);
    const parts = await loadEngineParts(init, {
      gpu: watched.gpu,
      onProgress: () => {},
      loadPart,
      signal: new AbortController().signal,
      delayMap: () => rig.#delayMap(),
      observeSteps: (event) => rig.onStep(event),
      observeLogits: (output, rows) => {
        for (const [requestId, row] of logitRows(output, rows)) {
          logits.set(requestId, [...(logits.get(requestId) ?? []), row]);
        }
      },
    });
    const rig = new OffloadRig({ ...parts, eosTokenIds: [] }, watched, logits);
    return rig;
  }

  private constructor(parts: LoadedParts, watched: WatchedGpu, logits: Map<string, Float32Array[]>) {
    this.parts = parts;
    this.#watched = watched;
    this.#logits = logits;
  }

  /** With empty caches on all tiers. The engines before must be at rest. What a tier has is loaded, however slow this machine is. */
  engine({ landsAfterStores = false, config, numHostSlots, storage, ...options }: RigOptions = {}): RigEngine {
    const engineConfig = { ...this.parts.engineConfig, loadPolicy: "always" as const, ...config };
    const parts = { ...this.parts, engineConfig, maxDeviceLosses: engineConfig.maxDeviceLosses };
    const open = engineOver(landsAfterStores ? withSlowSteps(parts) : parts, options, storage, numHostSlots);
    const ask: RigEngine["ask"] = async (promptIds, maxTokens, options = {}) => {
      const { requestId = crypto.randomUUID(), onEvent, ...fields } = options;
      let found: TokensByTier | null = null;
      const outcome = await generateGreedy(open.engine, promptIds, { requestId, maxTokens, ...fields }, (event) => {
        if (event.kind === "done") found = event.usage.cachedTokensByTier;
        onEvent?.(event);
      });
      const logits = this.#logits.get(requestId) ?? [];
      this.#logits.delete(requestId);
      return { ...outcome, found, logits };
    };
    const rest = async () => {
      await untilIdle(open.scheduler);
      open.scheduler.checkIntegrity();
    };
    const end = async () => {
      await untilAllEnded(open.scheduler);
      open.closeStorage();
    };
    return { ...open, ask, rest, end };
  }

  /** What the host tier's slots hold of all that these steps stored and nothing stored later has overwritten. */
  storedBytes(steps: readonly SchedulerOutput[]): Map<KvKey, Uint8Array<ArrayBuffer>> {
    const keys = new Map(steps.flatMap(({ transfers }) => transfers.stores.map(({ slotId, key }) => [slotId, key])));
    const { memory } = this.parts.offload ?? {};
    return new Map([...keys].flatMap(([slotId, key]) => (memory ? [[key, memory.slot(slotId).slice()]] : [])));
  }

  /** Devices that are there, and bytes in their buffers. */
  get held(): { readonly numDevices: number; readonly bufferBytes: number } {
    return { numDevices: this.#watched.numLiveDevices, bufferBytes: this.#watched.bufferBytes };
  }

  loseDevice(): void {
    this.#watched.device.destroy();
  }

  dispose(): void {
    this.parts.runner.dispose();
  }

  async #delayMap(): Promise<void> {
    if (this.mapDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.mapDelayMs));
  }
}

export function prefetch({ engine }: RigEngine, tokenIds: readonly number[]): Promise<PrefetchResult> {
  const requestId = crypto.randomUUID();
  return engine.kvPrefetch({ requestId, input: { kind: "tokens", tokenIds }, cacheSalt: null });
}

/** Blocks that these steps copy from RAM to the GPU. */
export function numBlocksLoaded(steps: readonly SchedulerOutput[]): number {
  return steps.flatMap(({ transfers }) => transfers.loads).reduce((sum, { blocks }) => sum + blocks.length, 0);
}

function withSlowSteps(parts: LoadedParts): LoadedParts {
  let previous: Promise<unknown> = Promise.resolve();
  const submit = (output: SchedulerOutput) => {
    const { landed, transfers } = parts.runner.submit(output);
    const all = Promise.all([landed, previous, ...transfers]).then(([result]) => result);
    previous = all;
    return { landed: all, transfers };
  };
  return { ...parts, runner: { submit, dispose: () => parts.runner.dispose() } };
}
