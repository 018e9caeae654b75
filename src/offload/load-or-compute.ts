import type { KvGeometry } from "../kv/geometry";
import { MedianRate } from "./median-rate";
import type { NeededChunk } from "./prefix-lookup";

/** Shorter steps say little about the cost of a token. */
const MIN_TOKENS = 16;
/** Copies are worth waiting for until so many have shown otherwise. */
const MIN_COPIES = 3;
/** Of the requests that compute for want of speed the so-manieth loads all the same; then it takes twice as many, up to a limit. */
const FIRST_PROBE = 8;
const MAX_PROBE = 64;

interface Step {
  readonly numTokens: number;
  readonly numBlocksLoaded: number;
  readonly scheduledMs: number;
}

/**
 * Whether KV that another tier has is sooner loaded or computed, by the medians of what tokens, loads and reads took lately. As
 * long as copies are unknown they cost nothing, and tokens everything: it loads, and learns.
 */
export class LoadOrCompute {
  readonly #geometry: Pick<KvGeometry, "blockSize" | "blocksPerChunk">;
  readonly #now: () => number;
  readonly #tokens = new MedianRate(1, Number.POSITIVE_INFINITY);
  /** Of a block from RAM to the GPU. */
  readonly #loads = new MedianRate(MIN_COPIES, 0);
  /** Of a chunk from storage to RAM. */
  readonly #reads = new MedianRate(MIN_COPIES, 0);
  readonly #inFlight = new Map<number, Step>();
  #lastProcessedMs = Number.NEGATIVE_INFINITY;
  #numDeclined = 0;
  #numToProbe = FIRST_PROBE;
  /** The latest request that loads to see whether that is still slow. */
  #probeId: string | null = null;

  constructor(geometry: Pick<KvGeometry, "blockSize" | "blocksPerChunk">, now: () => number) {
    this.#geometry = geometry;
    this.#now = now;
  }

  stepScheduled(stepIndex: number, numTokens: number, numBlocksLoaded: number): void {
    this.#inFlight.set(stepIndex, { numTokens, numBlocksLoaded, scheduledMs: this.#now() });
  }

  /**
   * A step that was scheduled while another was in flight began when that one came back. One that loads tells what loads
   * cost, beside its tokens: a copy holds up what its step computes.
   */
  stepProcessed(stepIndex: number): void {
    const step = this.#inFlight.get(stepIndex);
    if (!step) return;
    const { numTokens, numBlocksLoaded, scheduledMs } = step;
    this.#inFlight.delete(stepIndex);
    const nowMs = this.#now();
    const elapsedMs = nowMs - Math.max(scheduledMs, this.#lastProcessedMs);
    this.#lastProcessedMs = nowMs;
    if (numBlocksLoaded > 0) {
      this.#loads.add(numBlocksLoaded, Math.max(0, elapsedMs - (numTokens && this.predictMs(numTokens))));
    } else if (numTokens >= MIN_TOKENS) {
      this.#tokens.add(numTokens, elapsedMs);
    }
  }

  /** Chunks came from storage to RAM. */
  chunksRead(numChunks: number, ms: number): void {
    this.#reads.add(numChunks, ms);
  }

  /** Steps in flight will not come back. */
  forgetSteps(): void {
    this.#inFlight.clear();
  }

  /** Milliseconds to compute `numTokens` tokens; Infinity while nothing is known. */
  predictMs(numTokens: number): number {
    return this.#tokens.predictMs(numTokens);
  }

  /**
   * Whether these chunks are sooner had from their tiers than computed, with all that lies behind the first of them in a prefix of
   * `numBlocks` blocks; `numStored` of them are in storage. Every so often a request may load what is not.
   */
  isSooner(requestId: string, chunks: readonly NeededChunk[], numStored: number, numBlocks: number): boolean {
    const { blockSize, blocksPerChunk } = this.#geometry;
    const firstBlock = Math.min(...chunks.map(({ lastBlock }) => lastBlock)) + 1 - blocksPerChunk;
    const loadMs = this.#loads.predictMs(chunks.length * blocksPerChunk) + this.#reads.predictMs(numStored);
    if (requestId === this.#probeId || loadMs <= this.predictMs((numBlocks - firstBlock) * blockSize)) return true;
    this.#numDeclined += 1;
    if (this.#numDeclined < this.#numToProbe) return false;
    this.#numDeclined = 0;
    this.#numToProbe = Math.min(2 * this.#numToProbe, MAX_PROBE);
    this.#probeId = requestId;
    (numStored > 0 ? this.#reads : this.#loads).renew();
    return true;
  }
}
