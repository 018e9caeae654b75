import type { CacheEnvironment } from "./cache/cache-environment";
import { downloader } from "./cache/downloader";
import type { ModelStore, StoreRoot, StoreWriter } from "./cache/model-store";
import type { ByteRange } from "./file-source";

/** Files in memory, by folder and name. It can run full. */
export class MemoryRoot implements StoreRoot {
  readonly folders = new Map<string, Map<string, Uint8Array<ArrayBuffer>>>();
  /** Bytes that all files together may take. */
  quota = Number.POSITIVE_INFINITY;

  async open(folder: string): Promise<ModelStore> {
    const files = this.folders.get(folder) ?? new Map<string, Uint8Array<ArrayBuffer>>();
    this.folders.set(folder, files);
    return new MemoryStore(this, files);
  }

  async list(): Promise<string[]> {
    return [...this.folders.keys()];
  }

  async remove(folder: string): Promise<void> {
    this.folders.delete(folder);
  }

  /** The file of this name in whichever folder has one. */
  find(file: string): Uint8Array<ArrayBuffer> | undefined {
    return [...this.folders.values()].map((files) => files.get(file)).find((bytes) => bytes !== undefined);
  }

  /** Everything that is kept, as text. */
  text(): string {
    const all = [...this.folders.values()].flatMap((files) => [...files].flat());
    return all.map((part) => (typeof part === "string" ? part : new TextDecoder("latin1").decode(part))).join("\n");
  }

  get numBytes(): number {
    return [...this.folders.values()]
      .flatMap((files) => [...files.values()])
      .reduce((sum, { length }) => sum + length, 0);
  }
}

class MemoryStore implements ModelStore {
  readonly #root: MemoryRoot;
  readonly #files: Map<string, Uint8Array<ArrayBuffer>>;
  readonly #writing = new Set<string>();

  constructor(root: MemoryRoot, files: Map<string, Uint8Array<ArrayBuffer>>) {
    this.#root = root;
    this.#files = files;
  }

  async size(file: string): Promise<number> {
    return this.#files.get(file)?.length ?? 0;
  }

  async read(file: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>> {
    const bytes = this.#files.get(file);
    if (!bytes) throw new DOMException(`no ${file}`, "NotFoundError");
    return new Blob([bytes]).slice(range?.start, range?.end).stream();
  }

  async append(file: string): Promise<StoreWriter> {
    if (this.#writing.has(file)) throw new DOMException(`${file} is open`, "NoModificationAllowedError");
    this.#writing.add(file);
    if (!this.#files.has(file)) this.#files.set(file, new Uint8Array());
    return {
      write: (chunk) => {
        if (this.#root.numBytes + chunk.length > this.#root.quota) throw new DOMException("full", "QuotaExceededError");
        const known = this.#files.get(file) ?? new Uint8Array();
        const bytes = new Uint8Array(known.length + chunk.length);
        bytes.set(known);
        bytes.set(chunk, known.length);
        this.#files.set(file, bytes);
      },
      close: () => {
        this.#writing.delete(file);
      },
    };
  }

  async remove(file: string): Promise<void> {
    this.#files.delete(file);
  }
}

/** A world for a CachedSource in a test: files in `root`, or none kept, and retries at once. */
export function testEnvironment(root: StoreRoot | null, changes: Partial<CacheEnvironment> = {}): CacheEnvironment {
  return {
    openRoot: async () => root,
    freeBytes: async () => null,
    locks: null,
    retry: { maxRetries: 3, delayMs: 1 },
    loadDownloader: async () => downloader,
    ...changes,
  };
}
