import { Engine } from "../engine/engine";
import type { LoadedParts } from "../engine/load-engine";
import { makeOffload, type Offload, type OffloadMemory, type StorageParts } from "../engine/make-offload";
import type { ModelRunner } from "../engine/model-runner";
import type { RebuildRunner } from "../engine/recovery";
import type { KvKey } from "../kv/chunk";
import { policyOf } from "../offload/arc-policy";
import type { FinishReason, GenerateEvent, GenerateRequest } from "../protocol/messages";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOptions } from "../scheduler/scheduler-options";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import type { ErrorCode } from "../util/errors";

/** An engine whose scheduler and steps can be seen. */
export interface OpenEngine {
  readonly engine: Engine;
  readonly scheduler: Scheduler;
  /** What was submitted, in order. */
  readonly steps: readonly SchedulerOutput[];
  /** What the host tier holds of a chunk; null where it has none, or not yet. */
  chunkInHost(key: KvKey): Uint8Array<ArrayBuffer> | null;
  /** Nothing is read from storage any more, nor written. */
  closeStorage(): void;
}

/**
 * Another engine over the same runner: empty caches on all tiers but storage, where there is one, and these settings. The others
 * must be idle, see `untilIdle`. Without the prefix cache nothing is offloaded.
 */
export function engineOver(
  parts: LoadedParts,
  options: Partial<SchedulerOptions> = {},
  storage: StorageParts | null = null,
  numHostSlots = Number.POSITIVE_INFINITY,
): OpenEngine {
  const schedulerOptions = { ...parts.schedulerOptions, ...options };
  const { geometry, numBlocks, usePrefixCache } = schedulerOptions;
  const memory = usePrefixCache && parts.offload ? firstSlots(parts.offload.memory, numHostSlots) : null;
  const now = () => performance.now();
  const policy = policyOf(parts.engineConfig.hostEvictionPolicy);
  const offload = memory && makeOffload(memory, geometry, numBlocks, parts.engineConfig, policy, now, storage);
  const scheduler = new Scheduler(schedulerOptions, offload ? [offload.connector] : []);
  const steps: SchedulerOutput[] = [];
  const watch = (runner: ModelRunner): ModelRunner => ({
    submit: (output, masks) => {
      steps.push(output);
      return runner.submit(output, masks);
    },
    prepare: (sampling) => runner.prepare?.(sampling) ?? null,
    dispose: () => runner.dispose(),
  });
  const runner = watch(parts.runner);
  const rebuildRunner: RebuildRunner = async (...args) => watch(await parts.rebuildRunner(...args));
  const closeStorage = () => offload?.storage?.executor.close();
  const engine = new Engine({ ...parts, scheduler, runner, rebuildRunner, offload });
  const chunkInHost = (key: KvKey) => (offload?.host.lookup(key) === "hit" ? chunkOf(offload, key) : null);
  return { engine, scheduler, steps, chunkInHost, closeStorage };
}

function chunkOf({ host, memory }: Offload, key: KvKey): Uint8Array<ArrayBuffer> {
  return memory.slot(host.slotIdOf(key) as number);
}

/** A memory of fewer slots. */
function firstSlots(memory: OffloadMemory, numSlots: number): OffloadMemory {
  return {
    numSlots: Math.min(numSlots, memory.numSlots),
    reserve: (slotId) => memory.reserve(slotId),
    slot: (slotId) => memory.slot(slotId),
    get bytes() {
      return memory.bytes;
    },
  };
}

const IDLE_TIMEOUT_MS = 30_000;

/** A request's last event may come while a step in flight still holds tokens of it. Rejects for an engine that failed. */
export function untilIdle(scheduler: Scheduler): Promise<void> {
  return until(() => !scheduler.hasUnfinished);
}

/** Until no step is in flight and no request is there; KV may be under way to other tiers. */
export function untilAllEnded(scheduler: Scheduler): Promise<void> {
  const numThere = () => scheduler.numWaiting + scheduler.numRunning + scheduler.numLoading;
  return until(() => scheduler.numInFlightSteps + numThere() === 0);
}

async function until(isSo: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + IDLE_TIMEOUT_MS;
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error("an engine did not become idle");
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** Tokens that steps computed for a request. */
export function numComputedFor(requestId: string, steps: readonly SchedulerOutput[]): number {
  const entries = steps.flatMap(({ scheduled }) => scheduled).filter((entry) => entry.requestId === requestId);
  return entries.reduce((sum, { numTokens }) => sum + numTokens, 0);
}

/** What a request gave, and how it ended. */
export interface GreedyOutcome {
  readonly tokenIds: readonly number[];
  readonly end: FinishReason | ErrorCode;
  /** Prompt tokens that were in the prefix cache; 0 where it ended with an error. */
  readonly cachedTokens: number;
}

/** The most likely ids after a prompt, as plain data. Never rejects. */
export function generateGreedy(
  engine: Engine,
  promptIds: readonly number[],
  fields: Partial<GenerateRequest>,
  onEvent: (event: GenerateEvent) => void = () => {},
): Promise<GreedyOutcome> {
  const request: GenerateRequest = {
    requestId: crypto.randomUUID(),
    input: { kind: "tokens", tokenIds: promptIds },
    maxTokens: null,
    stop: [],
    sampling: { ...NEUTRAL_SAMPLING, temperature: 0 },
    priority: 0,
    usePrefixCache: true,
    cacheSalt: null,
    ...fields,
  };
  const tokenIds: number[] = [];
  return new Promise((resolve) => {
    engine.generate(request, (event) => {
      onEvent(event);
      if (event.kind === "delta") tokenIds.push(...event.tokenIds);
      if (event.kind === "error") resolve({ tokenIds, end: event.error.code, cachedTokens: 0 });
      if (event.kind === "done") resolve({ tokenIds, end: event.finishReason, cachedTokens: event.usage.cachedTokens });
    });
  });
}
