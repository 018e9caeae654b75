import { type Buffers, MAP_MODE_READ, USAGE } from "./buffers";
import type { GpuDevice } from "./device";
import { drawOnTrack } from "./devtools-track";

export interface ProfileEntry {
  /** Of the dispatch: its bind group's label. */
  readonly label: string;
  readonly count: number;
  readonly totalMs: number;
  readonly averageMs: number;
  /** Of the time of all entries, 0 to 1. */
  readonly share: number;
}

/** The most that WebGPU allows in a query set. */
const QUERIES_PER_SET = 4096;
const SET_BYTES = QUERIES_PER_SET * 8;

interface Submit {
  /** Pass i wrote its start to timestamp 2 i and its end to 2 i + 1. */
  readonly labels: readonly string[];
  readonly staging: GPUBuffer;
  /** On the clock of performance.now(). */
  readonly submittedMs: number;
}

/** By label. */
type Totals = Map<string, { readonly count: number; readonly ms: number }>;

/**
 * Times compute passes by timestamp queries. Does nothing on a device without them.
 *
 * A browser may round timestamps (Chrome: to 65,536 ns unless started with --enable-webgpu-developer-features), so short
 * kernels are only told apart by the average over many.
 */
export class Profiler {
  readonly #gpu: GpuDevice;
  readonly #buffers: Buffers;
  /** Reused by every submit: the queue resolves the one before first. */
  readonly #querySets: GPUQuerySet[] = [];
  readonly #resolved: GPUBuffer[] = [];
  #labels: string[] = [];
  #submits: Submit[] = [];
  /** Where the track "Cairn / GPU" ends so far. */
  #drawnUntilMs = 0;

  constructor(gpu: GpuDevice, buffers: Buffers) {
    this.#gpu = gpu;
    this.#buffers = buffers;
  }

  /** For the descriptor of a pass that holds the one dispatch `label`, in the order in which the passes are encoded. */
  timestampWrites(label: string): GPUComputePassTimestampWrites | undefined {
    if (!this.#gpu.timestamps) return undefined;
    const firstQuery = 2 * this.#labels.length;
    this.#labels.push(label);
    const beginningOfPassWriteIndex = firstQuery % QUERIES_PER_SET;
    return {
      querySet: this.#querySet(Math.floor(firstQuery / QUERIES_PER_SET)),
      beginningOfPassWriteIndex,
      endOfPassWriteIndex: beginningOfPassWriteIndex + 1,
    };
  }

  /** To be called when the passes of a submit are encoded, just before `commands` is finished and submitted. */
  resolve(commands: GPUCommandEncoder): void {
    const labels = this.#labels;
    if (labels.length === 0) return;
    this.#labels = [];
    const numBytes = 16 * labels.length;
    const staging = this.#buffers.create("profiler.staging", numBytes, USAGE.MAP_READ | USAGE.COPY_DST);
    for (let offset = 0, set = 0; offset < numBytes; offset += SET_BYTES, set++) {
      const size = Math.min(SET_BYTES, numBytes - offset);
      commands.resolveQuerySet(this.#querySets[set], 0, size / 8, this.#resolved[set], 0);
      commands.copyBufferToBuffer(this.#resolved[set], 0, staging, offset, size);
    }
    this.#submits.push({ labels, staging, submittedMs: performance.now() });
  }

  /**
   * What was submitted since the last call, by label, longest first; waits until it has run. Calls may overlap: each
   * takes the submits that are there when it is made. Each pass also becomes an entry of the track "Cairn / GPU" in the
   * performance panel of browsers that show such tracks.
   */
  async collect(): Promise<ProfileEntry[]> {
    const submits = this.#submits;
    this.#submits = [];
    await Promise.all(submits.map(({ staging }) => staging.mapAsync(MAP_MODE_READ)));
    const totals: Totals = new Map();
    for (const submit of submits) {
      this.#addPasses(submit, totals);
      this.#buffers.destroy(submit.staging);
    }
    return toEntries(totals);
  }

  /**
   * The GPU's clock is not the page's: a submit's first pass is drawn at the time of the submit, or at the end of the
   * submit before, for which it had to wait; the others relative to it.
   */
  #addPasses({ labels, staging, submittedMs }: Submit, totals: Totals): void {
    const timestamps = new BigUint64Array(staging.getMappedRange());
    const msAt = (index: number) => Number(timestamps[index] - timestamps[0]) / 1e6;
    const firstMs = Math.max(submittedMs, this.#drawnUntilMs);
    labels.forEach((label, pass) => {
      const startMs = msAt(2 * pass);
      const ms = Math.max(0, msAt(2 * pass + 1) - startMs); // A driver may reset its clock between the two.
      const total = totals.get(label) ?? { count: 0, ms: 0 };
      totals.set(label, { count: total.count + 1, ms: total.ms + ms });
      drawOnTrack("GPU", label, firstMs + startMs, firstMs + startMs + ms);
      this.#drawnUntilMs = Math.min(firstMs + startMs + ms, performance.now());
    });
  }

  destroy(): void {
    for (const { staging } of this.#submits) this.#buffers.destroy(staging);
    for (const buffer of this.#resolved) this.#buffers.destroy(buffer);
    for (const querySet of this.#querySets) querySet.destroy();
    this.#submits = [];
    this.#resolved.length = 0;
    this.#querySets.length = 0;
  }

  #querySet(index: number): GPUQuerySet {
    if (index === this.#querySets.length) {
      const label = `profiler.${index}`;
      this.#querySets.push(this.#gpu.device.createQuerySet({ label, type: "timestamp", count: QUERIES_PER_SET }));
      this.#resolved.push(this.#buffers.create(label, SET_BYTES, USAGE.QUERY_RESOLVE | USAGE.COPY_SRC));
    }
    return this.#querySets[index];
  }
}

function toEntries(totals: Totals): ProfileEntry[] {
  const allMs = [...totals.values()].reduce((sum, { ms }) => sum + ms, 0);
  return [...totals]
    .map(([label, { count, ms }]) => ({
      label,
      count,
      totalMs: ms,
      averageMs: ms / count,
      share: allMs > 0 ? ms / allMs : 0,
    }))
    .sort((a, b) => b.totalMs - a.totalMs);
}
