import { type Buffers, MAP_MODE_READ, USAGE } from "../gpu/buffers";
import type { StoreJob } from "../offload/transfer-job";
import { assert } from "../util/errors";
import { roundUp } from "../util/math";

/** Job id and epoch, a u32 each. */
const TAG_BYTES = 8;

/** What a tag names: whose chunk is in a slot. */
type TaggedJob = Pick<StoreJob, "jobId" | "epoch">;

/** Waits before a map counts as done. For tests. */
export type DelayMap = () => Promise<void>;

/** GPU bytes of a ring. */
export function stagingRingBytes(chunkBytes: number, numSlots: number): number {
  return numSlots * roundUp(chunkBytes + TAG_BYTES, 16) + roundUp(numSlots * TAG_BYTES, 16);
}

/**
 * Mappable slots, each for one chunk on its way from the GPU to the host. Behind the chunk lies the tag of its job, which
 * the GPU copies in the same submit: where that submit failed, the slot still has the tag of an older job, or none.
 */
export class StagingRing {
  readonly #device: GPUDevice;
  readonly #chunkBytes: number;
  /** The tags of the submit that is being encoded, slot by slot. */
  readonly #tags: GPUBuffer;
  /** The one that was used the longest ago first. */
  readonly #free: GPUBuffer[];
  readonly #delayMap: DelayMap | null;

  /** `chunkBytes`: the largest chunk, a multiple of 4. */
  constructor(device: GPUDevice, buffers: Buffers, chunkBytes: number, numSlots: number, delayMap: DelayMap | null) {
    this.#device = device;
    this.#chunkBytes = chunkBytes;
    this.#delayMap = delayMap;
    this.#tags = buffers.create("kv.staging.tags", numSlots * TAG_BYTES, USAGE.COPY_SRC | USAGE.COPY_DST);
    this.#free = Array.from({ length: numSlots }, (_, slot) =>
      buffers.create(`kv.staging${slot}`, chunkBytes + TAG_BYTES, USAGE.MAP_READ | USAGE.COPY_DST),
    );
  }

  /**
   * One slot for each job, in order; their tags are encoded. `encoder` must be submitted before the next call.
   * Throws `internal`, and takes none, where fewer are free.
   */
  take(jobs: readonly TaggedJob[], encoder: GPUCommandEncoder): readonly GPUBuffer[] {
    assert(jobs.length <= this.#free.length, () => `${jobs.length} stores for ${this.#free.length} free staging slots`);
    const slots = this.#free.splice(0, jobs.length);
    this.#device.queue.writeBuffer(this.#tags, 0, Uint32Array.from(jobs.flatMap(tagOf)));
    slots.forEach((slot, index) => {
      encoder.copyBufferToBuffer(this.#tags, index * TAG_BYTES, slot, this.#chunkBytes, TAG_BYTES);
    });
    return slots;
  }

  /**
   * Copies the first `numBytes` bytes of a slot, whose commands were submitted, to the beginning of what `target` gives
   * then. False, and nothing is copied, where the map fails, the slot does not hold this job's chunk, or `target` throws.
   * The slot is free again when this settles. Never rejects.
   */
  async read(slot: GPUBuffer, job: TaggedJob, numBytes: number, target: () => Uint8Array): Promise<boolean> {
    try {
      await Promise.all([slot.mapAsync(MAP_MODE_READ), this.#delayMap?.()]);
      const mapped = slot.getMappedRange();
      const tag = new Uint32Array(mapped, this.#chunkBytes, TAG_BYTES / 4);
      if (!Uint32Array.from(tagOf(job)).every((word, index) => word === tag[index])) return false;
      target().set(new Uint8Array(mapped, 0, numBytes));
      return true;
    } catch {
      return false;
    } finally {
      slot.unmap();
      this.#free.push(slot);
    }
  }
}

/** Never the zeros of a slot that nothing was copied into. */
function tagOf({ jobId, epoch }: TaggedJob): number[] {
  return [jobId + 1, epoch];
}
