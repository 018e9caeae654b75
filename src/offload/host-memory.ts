import { assert } from "../util/errors";
import type { HostSlots } from "./transfer-job";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Large enough that few are made, small enough that a short session takes little. */
const SLAB_BYTES = 16 * MIB;

export interface HostMemoryOptions {
  /** Bytes of a slot. */
  readonly chunkBytes: number;
  /** What the tier may take at most. */
  readonly maxBytes: number;
  /** Bytes that are allocated at once, in whole chunks and one at least; about 16 MiB unless given. */
  readonly slabBytes?: number;
  /** Throws where there is no memory. */
  readonly allocate?: (bytes: number) => Uint8Array<ArrayBuffer>;
}

/** The RAM of the host tier: slots of one chunk each, in slabs that are allocated when their first slot is reserved. */
export class HostMemory implements HostSlots {
  /** Slots that the budget holds. */
  readonly numSlots: number;
  readonly #chunkBytes: number;
  readonly #slotsPerSlab: number;
  readonly #allocate: (bytes: number) => Uint8Array<ArrayBuffer>;
  readonly #slabs: Uint8Array<ArrayBuffer>[] = [];
  #numReserved = 0;

  constructor({ chunkBytes, maxBytes, slabBytes = SLAB_BYTES, allocate = allocateBytes }: HostMemoryOptions) {
    assert(Number.isSafeInteger(chunkBytes) && chunkBytes > 0, () => `a chunk cannot have ${chunkBytes} bytes`);
    this.#chunkBytes = chunkBytes;
    this.numSlots = Math.floor(maxBytes / chunkBytes);
    this.#slotsPerSlab = Math.max(1, Math.floor(slabBytes / chunkBytes));
    this.#allocate = allocate;
  }

  /** Allocated so far. */
  get bytes(): number {
    return this.#slabs.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Gives a slot its memory, which it keeps; false where none could be allocated. Slots are reserved in order. */
  reserve(slotId: number): boolean {
    if (slotId < this.#numReserved) return true;
    const isNext = slotId === this.#numReserved && slotId < this.numSlots;
    assert(isNext, () => `slot ${slotId} is reserved after ${this.#numReserved} of ${this.numSlots}`);
    if (slotId === this.#slabs.length * this.#slotsPerSlab && !this.#addSlab()) return false;
    this.#numReserved += 1;
    return true;
  }

  slot(slotId: number): Uint8Array<ArrayBuffer> {
    const isReserved = slotId >= 0 && slotId < this.#numReserved;
    assert(isReserved, () => `slot ${slotId} has no memory: ${this.#numReserved} of ${this.numSlots} were reserved`);
    const slab = this.#slabs[Math.floor(slotId / this.#slotsPerSlab)];
    const start = (slotId % this.#slotsPerSlab) * this.#chunkBytes;
    return slab.subarray(start, start + this.#chunkBytes);
  }

  #addSlab(): boolean {
    const numSlots = Math.min(this.#slotsPerSlab, this.numSlots - this.#slabs.length * this.#slotsPerSlab);
    try {
      this.#slabs.push(this.#allocate(numSlots * this.#chunkBytes));
      return true;
    } catch {
      // Whatever it says, there is no memory: the tier goes on with what it has.
      return false;
    }
  }
}

/** Bytes of RAM for the host tier, by what the browser tells of the device; it tells little, or nothing. */
export function defaultHostBytes(deviceMemoryGiB: number | undefined): number {
  return deviceMemoryGiB === undefined ? 512 * MIB : Math.min((deviceMemoryGiB * GIB) / 8, GIB);
}

function allocateBytes(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
