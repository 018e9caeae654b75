import type { Place } from "./file-space";
import { isQuotaExceeded } from "./storage-fault";

const DIRECTORY = "cairn-kv";

/** The part of FileSystemSyncAccessHandle that is used; its type is known to workers only. */
export interface SyncAccessHandle {
  read(bytes: Uint8Array, options: { readonly at: number }): number;
  write(bytes: Uint8Array, options: { readonly at: number }): number;
  getSize(): number;
  truncate(size: number): void;
  close(): void;
}

interface SharedFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(options: object): Promise<SyncAccessHandle & { readonly mode?: string }>;
}

/**
 * The bytes of a namespace's records, in one file that every tab has open. It is read and written within transactions of the database
 * only, without an await: they say what lies where, and keep tabs apart. What it has is not believed before its checksum was compared.
 */
export class RecordFile {
  readonly #handle: SyncAccessHandle;

  constructor(handle: SyncAccessHandle) {
    this.#handle = handle;
  }

  /** What lies there, whatever it is; null where it cannot be read. */
  read(place: Place): ArrayBuffer | null {
    try {
      const bytes = new Uint8Array(place.reduce((sum, [start, end]) => sum + end - start, 0));
      let position = 0;
      for (const [start, end] of place) {
        this.#handle.read(bytes.subarray(position, position + end - start), { at: start });
        position += end - start;
      }
      return bytes.buffer;
    } catch {
      return null;
    }
  }

  /** The place is as long as the bytes. False where it cannot be written; throws QuotaExceededError where there is no room. */
  write(place: Place, buffer: ArrayBuffer): boolean {
    try {
      let position = 0;
      for (const [start, end] of place) {
        const bytes = new Uint8Array(buffer, position, end - start);
        // Chromium does not throw in private windows: it returns the error's code, read as a large positive number.
        if (this.#handle.write(bytes, { at: start }) !== bytes.length) {
          throw new DOMException("The file took only a part.", "QuotaExceededError");
        }
        position += bytes.length;
      }
      return true;
    } catch (error) {
      if (isQuotaExceeded(error)) throw error;
      return false;
    }
  }

  /** Nothing lies behind `end`. */
  trim(end: number): void {
    try {
      if (this.#handle.getSize() > end) this.#handle.truncate(end);
    } catch {
      // Then it stays longer than it need be.
    }
  }

  close(): void {
    this.#handle.close();
  }
}

/** Null where the browser has no file that several tabs can have open, or this thread may not. */
export async function openRecordFile(name: string): Promise<RecordFile | null> {
  try {
    const directory = await openDirectory();
    const file = (await directory.getFileHandle(name, { create: true })) as SharedFileHandle;
    const handle = await file.createSyncAccessHandle({ mode: "readwrite-unsafe" });
    if (handle.mode === "readwrite-unsafe") return new RecordFile(handle);
    // Other browsers know no modes: they would let one tab have it.
    handle.close();
  } catch {
    // Private windows of some browsers refuse, and shared workers have no such handles.
  }
  return null;
}

/** Where no tab has it open. */
export async function deleteRecordFile(name: string): Promise<void> {
  try {
    await (await openDirectory()).removeEntry(name);
  } catch {
    // There is none; or a tab has it open, and trims it.
  }
}

async function openDirectory(): Promise<FileSystemDirectoryHandle> {
  const origin = await navigator.storage.getDirectory();
  return origin.getDirectoryHandle(DIRECTORY, { create: true });
}
