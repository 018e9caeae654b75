import { type Buffers, MAP_MODE_READ, USAGE } from "../gpu/buffers";
import { assert } from "../util/errors";

/** Buffers that results are copied into and mapped from; each is used by one step at a time. */
export class ReadbackRing {
  readonly #free: GPUBuffer[];

  constructor(buffers: Buffers, label: string, bytes: number, numSlots: number) {
    this.#free = Array.from({ length: numSlots }, (_, slot) =>
      buffers.create(`${label}${slot}`, bytes, USAGE.MAP_READ | USAGE.COPY_DST),
    );
  }

  take(): GPUBuffer {
    const slot = this.#free.pop();
    assert(slot, "More steps are in flight than the readback ring has slots");
    return slot;
  }

  /** The first `bytes` bytes of a slot once its copy was submitted; the slot is free again when this settles. */
  async read(slot: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    await slot.mapAsync(MAP_MODE_READ, 0, slot.size);
    const copy = slot.getMappedRange(0, slot.size).slice(0, bytes);
    slot.unmap();
    this.#free.push(slot);
    return copy;
  }
}
