import { type ChunkReader, readChunks } from "./chunk-reader";
import type { OpenedFile } from "./file-source";
import { throwIfAborted, toReadError } from "./read-errors";

/** Reads an opened file forward by position. Holds one chunk of the stream; call `close()` when done, at the end or not. */
export class ByteCursor {
  readonly #reader: ChunkReader;
  readonly #file: string;
  readonly #signal: AbortSignal | undefined;
  readonly #onBytes: ((bytes: Uint8Array) => void) | undefined;
  #position: number;
  #chunk: Uint8Array = new Uint8Array(0);

  /** `onBytes` sees all bytes that are read or skipped, in order. */
  constructor(file: string, opened: OpenedFile, signal?: AbortSignal, onBytes?: (bytes: Uint8Array) => void) {
    this.#file = file;
    this.#reader = readChunks(opened.body);
    this.#position = opened.bodyOffset;
    this.#signal = signal;
    this.#onBytes = onBytes;
  }

  /** Position in the file of the next byte. */
  get position(): number {
    return this.#position;
  }

  /** Drops bytes up to `offset`; false when the body ends before, or began after it. */
  async skipTo(offset: number): Promise<boolean> {
    while (this.#position < offset) {
      if (this.#chunk.length === 0 && !(await this.#nextChunk())) return false;
      this.#advance(Math.min(offset - this.#position, this.#chunk.length));
    }
    return this.#position === offset;
  }

  /** Fills `target` and returns how many bytes it got: fewer than asked only at the end of the body. */
  async readInto(target: Uint8Array, onFilled?: (numBytes: number) => void): Promise<number> {
    throwIfAborted(this.#signal);
    let numFilled = 0;
    while (numFilled < target.length) {
      if (this.#chunk.length === 0 && !(await this.#nextChunk())) break;
      const numBytes = Math.min(target.length - numFilled, this.#chunk.length);
      target.set(this.#chunk.subarray(0, numBytes), numFilled);
      this.#advance(numBytes);
      numFilled += numBytes;
      onFilled?.(numFilled);
    }
    return numFilled;
  }

  /** Ends the transfer. */
  async close(): Promise<void> {
    // A stream that failed rejects its cancel with the error that the read has already thrown.
    await this.#reader.cancel().catch(() => undefined);
  }

  #advance(numBytes: number): void {
    this.#onBytes?.(this.#chunk.subarray(0, numBytes));
    this.#chunk = this.#chunk.subarray(numBytes);
    this.#position += numBytes;
  }

  async #nextChunk(): Promise<boolean> {
    throwIfAborted(this.#signal);
    try {
      const chunk = await this.#reader.read();
      if (chunk === null) return false;
      this.#chunk = chunk;
      return true;
    } catch (thrown) {
      throw toReadError(thrown, this.#file, this.#signal);
    }
  }
}
