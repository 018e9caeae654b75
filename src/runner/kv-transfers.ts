import type { Buffers } from "../gpu/buffers";
import type { GpuDevice } from "../gpu/device";
import type { KvGeometry } from "../kv/geometry";
import type { OffloadEncoding } from "../kv/offload-encoding";
import type { BlockLoad, HostSlots, LoadJob, StepTransfers, StoreJob, TransferResult } from "../offload/transfer-job";
import type { PageCodec } from "./page-codec";
import { type DelayMap, StagingRing, stagingRingBytes } from "./staging-ring";

export interface KvTransfersParts {
  readonly gpu: GpuDevice;
  readonly buffers: Buffers;
  readonly pages: PageCodec;
  readonly hostSlots: HostSlots;
  readonly geometry: Pick<KvGeometry, "blocksPerChunk">;
  /** Stores that may be between their submit and their result. */
  readonly numStagingSlots: number;
  /** Of `gpu`. Jobs of another one fail. */
  readonly epoch: number;
  readonly delayMap: DelayMap | null;
}

/** Copies blocks between GPU pages and host slots. A host slot holds its chunk block after block, each as `pages` makes it. */
export class KvTransfers {
  readonly #parts: KvTransfersParts;
  readonly #staging: StagingRing;

  constructor(parts: KvTransfersParts) {
    const { gpu, buffers, pages, geometry, numStagingSlots, delayMap } = parts;
    const chunkBytes = geometry.blocksPerChunk * pages.pageBytes;
    this.#parts = parts;
    this.#staging = new StagingRing(gpu.device, buffers, chunkBytes, numStagingSlots, delayMap);
  }

  /**
   * Submits the copies of a step, stores first; what is submitted later may write to the stores' blocks and read the loads'.
   * One result a job, stores before loads, each in their order; none rejects. A load's is known at once, a store's when
   * its bytes are in the host slot. Throws `internal`, with nothing submitted, for more stores than staging slots are free.
   */
  submit({ stores, loads }: StepTransfers): Promise<TransferResult>[] {
    const stored = this.#store(stores);
    const loaded = loads.map(async (job) => resultOf(job, this.#load(job)));
    this.#parts.pages.flush();
    return [...stored, ...loaded];
  }

  #store(jobs: readonly StoreJob[]): Promise<TransferResult>[] {
    const present = jobs.filter(({ epoch }) => epoch === this.#parts.epoch);
    const slots = present.length > 0 ? this.#copyToStaging(present) : new Map<StoreJob, GPUBuffer>();
    return jobs.map(async (job) => {
      const slot = slots.get(job);
      return resultOf(job, slot && (await this.#finishStore(job, slot)) ? job.blockIds.length : 0);
    });
  }

  /** True once the bytes are in the host slot. */
  #finishStore({ jobId, epoch, blockIds, slotId }: StoreJob, staging: GPUBuffer): Promise<boolean> {
    const { gpu, pages, hostSlots } = this.#parts;
    return this.#staging.read(staging, { jobId, epoch }, blockIds.length * pages.pageBytes, () => {
      // The failed command may be the one that should have written the blocks.
      gpu.health.throwIfFailed();
      return hostSlots.slot(slotId);
    });
  }

  /** In one submit of its own, so that the copies are ahead of every write of the step. */
  #copyToStaging(jobs: readonly StoreJob[]): Map<StoreJob, GPUBuffer> {
    const { gpu, pages } = this.#parts;
    const encoder = gpu.device.createCommandEncoder({ label: "kv.stores" });
    const slots = this.#staging.take(jobs, encoder);
    pages.copyOut(
      encoder,
      jobs.map(({ blockIds }, index) => ({ blockIds, target: slots[index] })),
    );
    gpu.device.queue.submit([encoder.finish()]);
    return new Map(jobs.map((job, index) => [job, slots[index]]));
  }

  /** Returns how many of the job's blocks are in the queue. */
  #load({ epoch, blocks }: LoadJob): number {
    if (epoch !== this.#parts.epoch) return 0;
    const failed = blocks.findIndex((block) => !this.#loadBlock(block));
    return failed < 0 ? blocks.length : failed;
  }

  /** False where the host slot cannot be read. */
  #loadBlock({ slotId, blockInChunk, blockId }: BlockLoad): boolean {
    const { pages, hostSlots } = this.#parts;
    try {
      pages.write(blockId, hostSlots.slot(slotId), blockInChunk * pages.pageBytes);
      return true;
    } catch {
      return false;
    }
  }
}

/** GPU bytes that transfers hold, beside the pool, for chunks of `chunkBytes` in host slots; not counted are the ids of blocks on their way. */
export function kvTransfersBytes(chunkBytes: number, numStagingSlots: number, encoding: OffloadEncoding): number {
  return stagingRingBytes(chunkBytes, numStagingSlots) + encodedBytes(chunkBytes, numStagingSlots, encoding);
}

/** Of the one binding through which pages go that are encoded on the GPU: a chunk for each staging slot. */
export function encodedBytes(chunkBytes: number, numStagingSlots: number, encoding: OffloadEncoding): number {
  return encoding === "exact" ? 0 : numStagingSlots * chunkBytes;
}

/** The results of jobs that were not begun. */
export function failTransfers({ stores, loads }: StepTransfers): Promise<TransferResult>[] {
  return [...stores, ...loads].map(async (job) => resultOf(job, 0));
}

function resultOf({ jobId, epoch }: StoreJob | LoadJob, numBlocks: number): TransferResult {
  return { jobId, epoch, numBlocks };
}
