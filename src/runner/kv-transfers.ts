import type { Buffers } from "../gpu/buffers";
import type { GpuDevice } from "../gpu/device";
import type { KvGeometry } from "../kv/geometry";
import type { BlockLoad, HostSlots, LoadJob, StepTransfers, StoreJob, TransferResult } from "../offload/transfer-job";
import type { KvPool } from "./kv-planes";
import { type DelayMap, StagingRing, stagingRingBytes } from "./staging-ring";

export interface KvTransfersParts {
  readonly gpu: GpuDevice;
  readonly buffers: Buffers;
  readonly pool: KvPool;
  readonly hostSlots: HostSlots;
  readonly geometry: Pick<KvGeometry, "pageBytes" | "blocksPerChunk">;
  /** Stores that may be between their submit and their result. */
  readonly numStagingSlots: number;
  /** Of `gpu`. Jobs of another one fail. */
  readonly epoch: number;
  readonly delayMap: DelayMap | null;
}

/**
 * Copies blocks between GPU pages and host slots. A host slot holds its chunk block after block; a block's page is
 * contiguous there, plane 0's part first, so that its place does not depend on how the pool is cut into planes:
 *
 *     page of block b     plane 0 [b * bytes0, + bytes0)     plane 1 [b * bytes1, + bytes1)
 *     place i of a slot   [i * pageBytes | bytes0 | bytes1 | ... | (i + 1) * pageBytes)
 */
export class KvTransfers {
  readonly #parts: KvTransfersParts;
  readonly #staging: StagingRing;

  constructor(parts: KvTransfersParts) {
    const { gpu, buffers, geometry, numStagingSlots, delayMap } = parts;
    this.#parts = parts;
    this.#staging = new StagingRing(gpu.device, buffers, chunkBytes(geometry), numStagingSlots, delayMap);
  }

  /**
   * Submits the copies of a step, stores first; what is submitted later may write to the stores' blocks and read the loads'.
   * One result a job, stores before loads, each in their order; none rejects. A load's is known at once, a store's when
   * its bytes are in the host slot. Throws `internal`, with nothing submitted, for more stores than staging slots are free.
   */
  submit({ stores, loads }: StepTransfers): Promise<TransferResult>[] {
    return [...this.#store(stores), ...loads.map(async (job) => resultOf(job, this.#load(job)))];
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
    const { gpu, geometry, hostSlots } = this.#parts;
    return this.#staging.read(staging, { jobId, epoch }, blockIds.length * geometry.pageBytes, () => {
      // The failed command may be the one that should have written the blocks.
      gpu.health.throwIfFailed();
      return hostSlots.slot(slotId);
    });
  }

  /** In one submit of its own, so that the copies are ahead of every write of the step. */
  #copyToStaging(jobs: readonly StoreJob[]): Map<StoreJob, GPUBuffer> {
    const { gpu, pool } = this.#parts;
    const encoder = gpu.device.createCommandEncoder({ label: "kv.stores" });
    const slots = this.#staging.take(jobs, encoder);
    jobs.forEach(({ blockIds }, index) => {
      let offset = 0;
      for (const blockId of blockIds) {
        for (const { plane, buffer } of pool.planes) {
          encoder.copyBufferToBuffer(buffer, blockId * plane.pageBytes, slots[index], offset, plane.pageBytes);
          offset += plane.pageBytes;
        }
      }
    });
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
    const { gpu, pool, geometry, hostSlots } = this.#parts;
    try {
      const chunk = hostSlots.slot(slotId);
      let offset = blockInChunk * geometry.pageBytes;
      for (const { plane, buffer } of pool.planes) {
        gpu.device.queue.writeBuffer(buffer, blockId * plane.pageBytes, chunk, offset, plane.pageBytes);
        offset += plane.pageBytes;
      }
      return true;
    } catch {
      return false;
    }
  }
}

/** Bytes of the largest chunk: of a host slot. */
function chunkBytes({ pageBytes, blocksPerChunk }: KvTransfersParts["geometry"]): number {
  return blocksPerChunk * pageBytes;
}

/** GPU bytes that transfers hold, beside the pool. */
export function kvTransfersBytes(geometry: KvTransfersParts["geometry"], numStagingSlots: number): number {
  return stagingRingBytes(chunkBytes(geometry), numStagingSlots);
}

/** The results of jobs that were not begun. */
export function failTransfers({ stores, loads }: StepTransfers): Promise<TransferResult>[] {
  return [...stores, ...loads].map(async (job) => resultOf(job, 0));
}

function resultOf({ jobId, epoch }: StoreJob | LoadJob, numBlocks: number): TransferResult {
  return { jobId, epoch, numBlocks };
}
