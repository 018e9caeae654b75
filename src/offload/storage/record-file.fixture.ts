import { RecordFile, type SyncAccessHandle } from "./record-file";

/** Files of an origin within a thread. All that have one open see the same bytes, as in a browser. */
export class FakeFiles {
  /** No file grows past so many bytes. */
  maxBytes = Number.POSITIVE_INFINITY;
  /** False: reads and writes throw. */
  areUsable = true;
  /** Called when bytes are about to be written. */
  onWrite = (): void => {};
  readonly #bytes = new Map<string, Uint8Array>();
  numOpen = 0;

  readonly open = async (name: string): Promise<RecordFile> => {
    this.numOpen += 1;
    return new RecordFile(this.#handle(name));
  };

  clear(): void {
    this.#bytes.clear();
  }

  /** What the file has, to be looked at and changed as a fault would. */
  bytesOf(name: string): Uint8Array {
    return this.#bytes.get(name) ?? new Uint8Array();
  }

  #handle(name: string): SyncAccessHandle {
    return {
      read: (bytes, { at }) => {
        this.#checkUsable();
        const there = this.bytesOf(name).subarray(at, at + bytes.length);
        bytes.set(there);
        return there.length;
      },
      write: (bytes, { at }) => {
        this.#checkUsable();
        this.onWrite();
        if (at + bytes.length > this.maxBytes) {
          // As Chromium does in private windows: as much as there is room for, and an error's code.
          this.#resize(name, this.maxBytes);
          return 2 ** 32 - 8;
        }
        if (at + bytes.length > this.bytesOf(name).length) this.#resize(name, at + bytes.length);
        this.bytesOf(name).set(bytes, at);
        return bytes.length;
      },
      getSize: () => this.bytesOf(name).length,
      truncate: (size) => this.#resize(name, size),
      close: () => {
        this.numOpen -= 1;
      },
    };
  }

  #checkUsable(): void {
    if (!this.areUsable) throw new DOMException("injected", "InvalidStateError");
  }

  #resize(name: string, size: number): void {
    const resized = new Uint8Array(size);
    resized.set(this.bytesOf(name).subarray(0, size));
    this.#bytes.set(name, resized);
  }
}
