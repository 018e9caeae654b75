import type { ByteRange } from "../file-source";

/** A folder of files that the browser keeps. Names are plain (PLAIN_FILE_NAME), or begin with "~" where they are our own. */
export interface ModelStore {
  /** In bytes; 0 where there is no such file. */
  size(file: string): Promise<number>;
  /** The file must be there. */
  read(file: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>>;
  /** Opens a file, new or not, at its end. One writer a file at a time; what was written is there also if it is never closed. */
  append(file: string): Promise<StoreWriter>;
  /** Does nothing where there is no such file. */
  remove(file: string): Promise<void>;
}

export interface StoreWriter {
  /** `chunk` belongs to the caller again once this resolved. */
  write(chunk: Uint8Array): void | Promise<void>;
  close(): void | Promise<void>;
}

/** All folders of models that are kept in one place. */
export interface StoreRoot {
  /** Makes the folder where it is not there. */
  open(folder: string): Promise<ModelStore>;
  list(): Promise<string[]>;
  remove(folder: string): Promise<void>;
}

/** The browser did not keep what it was given. */
export class StoreError extends Error {
  readonly isQuota: boolean;

  constructor(cause: unknown) {
    const { name, message } = cause instanceof Error ? cause : new Error(String(cause));
    super(message, { cause });
    this.isQuota = name === "QuotaExceededError";
  }
}

/** Tells failures of a store from those of the network. */
export async function inStore<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw new StoreError(thrown);
  }
}
