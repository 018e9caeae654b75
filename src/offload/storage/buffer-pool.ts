/** Buffers of one size that travel between threads, kept while nobody needs them. */
export class BufferPool {
  readonly #bufferBytes: number;
  readonly #maxKept: number;
  readonly #buffers: ArrayBuffer[] = [];

  constructor(bufferBytes: number, maxKept: number) {
    this.#bufferBytes = bufferBytes;
    this.#maxKept = maxKept;
  }

  /** So many, with whatever bytes; null where there is no memory for them. */
  take(count: number): ArrayBuffer[] | null {
    const taken = this.#buffers.splice(0, count);
    try {
      while (taken.length < count) taken.push(new ArrayBuffer(this.#bufferBytes));
      return taken;
    } catch {
      this.give(taken);
      return null;
    }
  }

  /** Those of another size, and those that were transferred, are dropped. */
  give(buffers: readonly ArrayBuffer[]): void {
    for (const buffer of buffers) {
      const isUsable = buffer.byteLength === this.#bufferBytes && this.#buffers.length < this.#maxKept;
      if (isUsable) this.#buffers.push(buffer);
    }
  }
}
