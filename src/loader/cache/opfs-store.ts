import type { ByteRange } from "../file-source";
import type { ModelStore, StoreRoot, StoreWriter } from "./model-store";

const ROOT_DIRECTORY = "cairn-models";

/** The part of FileSystemSyncAccessHandle that is used; its type is known to workers only. */
interface SyncAccessHandle {
  getSize(): number;
  write(chunk: Uint8Array, options: { readonly at: number }): number;
  flush(): void;
  close(): void;
}

type WritableFileHandle = FileSystemFileHandle & { createSyncAccessHandle(): Promise<SyncAccessHandle> };

/** The origin's private file system. Reads anywhere, writes in dedicated workers only. Null where the browser has none. */
export async function openOpfs(): Promise<StoreRoot | null> {
  try {
    const origin = await navigator.storage.getDirectory();
    return new OpfsRoot(await origin.getDirectoryHandle(ROOT_DIRECTORY, { create: true }));
  } catch {
    // Insecure pages have no `storage`, private windows of some browsers refuse: what is kept then is kept elsewhere.
    return null;
  }
}

export function canWriteOpfs(): boolean {
  return typeof FileSystemFileHandle !== "undefined" && "createSyncAccessHandle" in FileSystemFileHandle.prototype;
}

class OpfsRoot implements StoreRoot {
  readonly #directory: FileSystemDirectoryHandle;

  constructor(directory: FileSystemDirectoryHandle) {
    this.#directory = directory;
  }

  async open(folder: string): Promise<ModelStore> {
    return new OpfsStore(await this.#directory.getDirectoryHandle(folder, { create: true }));
  }

  async list(): Promise<string[]> {
    const folders = [];
    for await (const folder of this.#directory.keys()) folders.push(folder);
    return folders;
  }

  async remove(folder: string): Promise<void> {
    await orWhereMissing(this.#directory.removeEntry(folder, { recursive: true }), undefined);
  }
}

class OpfsStore implements ModelStore {
  readonly #directory: FileSystemDirectoryHandle;

  constructor(directory: FileSystemDirectoryHandle) {
    this.#directory = directory;
  }

  async size(file: string): Promise<number> {
    return (await orWhereMissing(this.#file(file), null))?.size ?? 0;
  }

  async read(file: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>> {
    const blob = await this.#file(file);
    return (range ? blob.slice(range.start, range.end) : blob).stream();
  }

  async append(file: string): Promise<StoreWriter> {
    const handle = (await this.#directory.getFileHandle(file, { create: true })) as WritableFileHandle;
    return new OpfsWriter(await handle.createSyncAccessHandle());
  }

  async remove(file: string): Promise<void> {
    await orWhereMissing(this.#directory.removeEntry(file), undefined);
  }

  async #file(file: string): Promise<File> {
    return (await this.#directory.getFileHandle(file)).getFile();
  }
}

class OpfsWriter implements StoreWriter {
  readonly #handle: SyncAccessHandle;
  #position: number;

  constructor(handle: SyncAccessHandle) {
    this.#handle = handle;
    this.#position = handle.getSize();
  }

  write(chunk: Uint8Array): void {
    const numWritten = this.#handle.write(chunk, { at: this.#position });
    // Chromium does not throw where there is no room: it returns the error's code, read as a large positive number.
    if (numWritten !== chunk.length) throw new DOMException("The disk took only a part.", "QuotaExceededError");
    this.#position += numWritten;
  }

  close(): void {
    try {
      this.#handle.flush();
    } finally {
      this.#handle.close();
    }
  }
}

async function orWhereMissing<T, U>(promise: Promise<T>, fallback: U): Promise<T | U> {
  try {
    return await promise;
  } catch (thrown) {
    if ((thrown as Error).name === "NotFoundError") return fallback;
    throw thrown;
  }
}
