import { CairnError } from "../util/errors";
import { roundUp } from "../util/math";

/** GPUBufferUsage, whose global is absent in Node. */
export const USAGE = {
  MAP_READ: 0x1,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  QUERY_RESOLVE: 0x200,
};
export const MAP_MODE_READ = 0x1;

const STORAGE = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;

/** Bytes of a buffer that was asked for with `size` bytes. */
export function bufferBytes(size: number): number {
  return roundUp(Math.max(size, 16), 16);
}

/** Makes and counts every buffer of a device, so that a leak is seen and a plan can be compared with what is held. */
export class Buffers {
  readonly #device: GPUDevice;
  readonly #live = new Map<GPUBuffer, number>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Bytes in live buffers. */
  get bytes(): number {
    let sum = 0;
    for (const size of this.#live.values()) sum += size;
    return sum;
  }

  /** A storage buffer of at least `size` bytes, zero-filled. For small buffers: failure shows as an uncaptured error. */
  storage(label: string, size: number): GPUBuffer {
    return this.create(label, size, STORAGE);
  }

  create(label: string, size: number, usage: number): GPUBuffer {
    const buffer = this.#device.createBuffer({ label, size: bufferBytes(size), usage });
    this.#live.set(buffer, buffer.size);
    return buffer;
  }

  /** A storage buffer that may be large. Rejects with `out_of_memory` and its size, and holds nothing then. */
  async large(label: string, size: number): Promise<GPUBuffer> {
    this.#device.pushErrorScope("out-of-memory");
    this.#device.pushErrorScope("validation");
    let buffer: GPUBuffer | null = null;
    let failure: unknown = null;
    try {
      buffer = this.storage(label, size);
    } catch (error) {
      failure = error; // Dawn throws a RangeError where the process itself cannot allocate.
    }
    const [validation, outOfMemory] = await Promise.all([this.#device.popErrorScope(), this.#device.popErrorScope()]);
    failure ??= outOfMemory ?? validation;
    if (buffer && !failure) return buffer;
    if (buffer) this.destroy(buffer);
    throw new CairnError("out_of_memory", `The GPU could not give ${size} bytes for ${label}.`, {
      label,
      neededBytes: size,
      heldBytes: this.bytes,
    });
  }

  /** A small storage buffer that holds `data` from the start and is not written by the CPU again. */
  constant(label: string, data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.storage(label, data.byteLength);
    this.#device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }

  /** A uniform buffer that holds `words` from the start and never changes. */
  uniform(label: string, words: Uint32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.create(label, words.byteLength, USAGE.UNIFORM | USAGE.COPY_DST);
    this.#device.queue.writeBuffer(buffer, 0, words);
    return buffer;
  }

  destroy(buffer: GPUBuffer): void {
    if (!this.#live.delete(buffer)) {
      throw new CairnError("internal", `Buffer ${buffer.label} is destroyed twice or is not ours.`);
    }
    buffer.destroy();
  }

  destroyAll(): void {
    for (const buffer of [...this.#live.keys()]) this.destroy(buffer);
  }
}
