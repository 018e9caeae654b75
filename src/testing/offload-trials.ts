import type { KvKey } from "../kv/chunk";
import { BLOCK_SIZE } from "../kv/geometry";
import type { TokensByTier } from "../protocol/kv-messages";
import type { EngineInit } from "../protocol/messages";
import type { SchedulerStats } from "../scheduler/scheduler-stats";
import { toWireError } from "../util/errors";
import { maxDifference, maxOf } from "./differences";
import type { GoldenJob } from "./golden-job";
import { numBlocksLoaded, OffloadRig, prefetch, type RigEngine, type RigOptions } from "./offload-rig";

export interface SlowRingReport {
  readonly outcomes: readonly (readonly number[])[];
  /** Full chunks that existed while their request held them, and those of them that were stored. */
  readonly numReachable: number;
  readonly numStored: number;
  /** The most blocks at once that nothing but leases kept from being handed out. */
  readonly maxOnlyLeased: number;
  readonly numPreemptions: number;
  /** Largest error of a stored number, against an undisturbed run; NaN where a chunk is not known there. */
  readonly storedError: number;
  readonly numStoredUndisturbed: number;
  /** The last ids of each job again, from what was stored. */
  readonly revisits: readonly (readonly number[])[];
  readonly found: readonly (TokensByTier | null)[];
}

export interface ResumeReport {
  readonly outcomes: readonly (readonly number[])[];
  readonly stats: SchedulerStats;
}

export interface AbortReport {
  readonly end: string;
  readonly abortedIds: readonly number[];
  readonly nextIds: readonly number[];
  readonly found: TokensByTier | null;
}

export interface LostDeviceReport {
  /** How each request and the prefetch ended; the last one was asked for after the loss. */
  readonly ends: readonly string[];
  /** When the device was lost. */
  readonly numStoresInFlight: number;
  readonly numBlocksLoaded: number;
}

type JobText = Pick<GoldenJob, "promptIds" | "greedyIds">;

/** Ids that are generated again from what was stored. */
const NUM_REVISITED_TOKENS = 8;

/**
 * Trials of stores and loads under stress, with KV in f32. They run the same in Node and in a worker of a browser; all that
 * comes out is plain data.
 */
export class OffloadTrials {
  readonly #rig: OffloadRig;
  /** What \`slowRing\` compares with: of the first jobs that it was given. */
  #undisturbed: ReadonlyMap<KvKey, Uint8Array<ArrayBuffer>> | null = null;

  private constructor(rig: OffloadRig) {
    this.#rig = rig;
  }

  static async open(gpu: GPU, init: EngineInit): Promise<OffloadTrials> {
    return OffloadTrials.over(await OffloadRig.open(gpu, { ...init, kvDtype: "f32" }));
  }

  static over(rig: OffloadRig): OffloadTrials {
    return new OffloadTrials(rig);
  }

  /** All jobs, the same ones at every call, while every map is late; then what they stored: its bytes, and what it gives when it is loaded. */
  async slowRing(jobs: readonly GoldenJob[], mapDelayMs: number, options: RigOptions): Promise<SlowRingReport> {
    this.#rig.mapDelayMs = mapDelayMs;
    const rig = this.#rig.engine(options);
    let maxOnlyLeased = 0;
    const onEvent = () => {
      maxOnlyLeased = Math.max(maxOnlyLeased, rig.scheduler.numBlocksOnlyLeased);
    };
    const answers = await Promise.all(
      jobs.map(({ promptIds, greedyIds }) => rig.ask(promptIds, greedyIds.length, { onEvent })),
    );
    await rig.rest();
    const stored = this.#rig.storedBytes(rig.steps);
    const { stores, numPreemptions } = rig.engine.kvStats();
    const again = await this.#revisit(jobs, rig);
    this.#rig.mapDelayMs = 0;
    this.#undisturbed ??= await this.#runUndisturbed(jobs);
    const truth = this.#undisturbed;
    // The last id of each is never fed.
    const numFed = jobs.map(({ promptIds, greedyIds }) => promptIds.length + greedyIds.length - 1);
    return {
      outcomes: answers.map(({ tokenIds }) => tokenIds),
      numReachable: numFed.reduce((sum, length) => sum + this.#numChunks(length), 0),
      numStored: stores.numDone,
      maxOnlyLeased,
      numPreemptions,
      storedError: maxOf([...stored].map(([key, bytes]) => relativeError(bytes, truth.get(key)))),
      numStoredUndisturbed: truth.size,
      revisits: again.map(({ tokenIds }) => tokenIds),
      found: again.map(({ found }) => found),
    };
  }

  /** All jobs at once, in a pool that is too small for them. */
  async preempt(jobs: readonly GoldenJob[], options: RigOptions): Promise<ResumeReport> {
    const rig = this.#rig.engine(options);
    const answers = await Promise.all(jobs.map(({ promptIds, greedyIds }) => rig.ask(promptIds, greedyIds.length)));
    await rig.rest();
    return { outcomes: answers.map(({ tokenIds }) => tokenIds), stats: rig.scheduler.stats };
  }

  /** Aborts a job after so many ids; a request that goes on behind the next one comes when the GPU has forgotten all. */
  async abort({ promptIds, greedyIds }: GoldenJob, numIds: number): Promise<AbortReport> {
    const rig = this.#rig.engine();
    const requestId = "aborted";
    let numSeen = 0;
    const aborted = await rig.ask(promptIds, greedyIds.length, {
      requestId,
      onEvent: ({ kind }) => {
        if (kind === "delta" && ++numSeen === numIds) rig.engine.abort(requestId);
      },
    });
    await rig.rest();
    rig.scheduler.resetPrefixCache();
    const numNext = aborted.tokenIds.length + 1;
    const next = await rig.ask([...promptIds, ...greedyIds.slice(0, numNext)], greedyIds.length - numNext);
    await rig.rest();
    return { end: aborted.end, abortedIds: aborted.tokenIds, nextIds: next.tokenIds, found: next.found };
  }

  /** Loses the device while a job's text is loaded, a block position a step, and a chunk waits for its map. Comes last. */
  async loseDevice({ promptIds, greedyIds }: JobText, otherIds: readonly number[]): Promise<LostDeviceReport> {
    const text = [...promptIds, ...greedyIds];
    const rig = this.#rig.engine({
      config: { maxTransferBytesPerStep: this.#rig.parts.geometry.pageBytes, maxDeviceLosses: 1 },
    });
    await rig.ask(text, 1);
    await rig.rest();
    rig.scheduler.resetPrefixCache();
    this.#rig.mapDelayMs = 50;
    const numStepsBefore = rig.steps.length;
    const live = [rig.ask(otherIds, 64), rig.ask(text, 64)];
    const prefetching = prefetch(rig, text.slice(0, -BLOCK_SIZE)).then(
      () => "done",
      (error) => toWireError(error).code,
    );
    const numLoaded = () => numBlocksLoaded(rig.steps.slice(numStepsBefore));
    const numInFlight = () => rig.engine.kvStats().stores.numInFlight;
    while (numLoaded() === 0 || numInFlight() === 0) await new Promise((resolve) => setTimeout(resolve));
    const atLoss = { numStoresInFlight: numInFlight(), numBlocksLoaded: numLoaded() };
    this.#rig.loseDevice();
    const ends = [...(await Promise.all(live)).map(({ end }) => end), await prefetching];
    ends.push((await rig.ask(text, 1)).end);
    return { ends, ...atLoss };
  }

  dispose(): void {
    this.#rig.dispose();
  }

  /** The end of each job, when the GPU has forgotten all. */
  async #revisit(jobs: readonly GoldenJob[], rig: RigEngine) {
    rig.scheduler.resetPrefixCache();
    const asked = jobs.map(({ promptIds, greedyIds }) =>
      rig.ask([...promptIds, ...greedyIds.slice(0, -NUM_REVISITED_TOKENS)], NUM_REVISITED_TOKENS),
    );
    const answers = await Promise.all(asked);
    await rig.rest();
    return answers;
  }

  /**
   * What is stored of the jobs where maps are in time and leases may hold all that waits. With one step in flight a window
   * moves right after the step that filled its blocks, and a request's last chunk is full only when it ends.
   */
  async #runUndisturbed(jobs: readonly GoldenJob[]): Promise<Map<KvKey, Uint8Array<ArrayBuffer>>> {
    const rig = this.#rig.engine({ maxInFlightSteps: 1 });
    await Promise.all(jobs.map(({ promptIds, greedyIds }) => rig.ask(promptIds, greedyIds.length)));
    await rig.rest();
    return this.#rig.storedBytes(rig.steps);
  }

  #numChunks(numTokens: number): number {
    const { groups, blocksPerChunk } = this.#rig.parts.geometry;
    return groups.length * Math.floor(numTokens / (BLOCK_SIZE * blocksPerChunk));
  }
}

/** Of f32 KV, by its largest number. */
export function relativeError(bytes: Uint8Array<ArrayBuffer>, truth: Uint8Array<ArrayBuffer> | undefined): number {
  const expected = truth && new Float32Array(truth.buffer);
  const scale = maxOf(Array.from(expected ?? [], Math.abs));
  return maxDifference(new Float32Array(bytes.buffer), expected) / scale;
}
