import type { ByteRange } from "../file-source";
import type { ModelStore, StoreRoot, StoreWriter } from "./model-store";

const CACHE_PREFIX = "cairn-models/";
/** An entry of a cache is written as a whole, so files are kept in parts; what a tab that is killed loses is less than one. */
const PART_BYTES = 4 * 1024 * 1024;

/** The Cache API, for browsers and workers that cannot write to OPFS. Null where there is none. */
export async function openCacheApi(): Promise<StoreRoot | null> {
  try {
    await caches.keys();
    return new CacheApiRoot();
  } catch {
    // As with OPFS: insecure pages and some private windows.
    return null;
  }
}

class CacheApiRoot implements StoreRoot {
  async open(folder: string): Promise<ModelStore> {
    return new CacheApiStore(await caches.open(CACHE_PREFIX + folder));
  }

  async list(): Promise<string[]> {
    const names = await caches.keys();
    return names.filter((name) => name.startsWith(CACHE_PREFIX)).map((name) => name.slice(CACHE_PREFIX.length));
  }

  async remove(folder: string): Promise<void> {
    await caches.delete(CACHE_PREFIX + folder);
  }
}

/** Part of a file; its place is in its URL's query: `?<start>-<end>`. */
interface Part extends ByteRange {
  readonly request: Request;
}

class CacheApiStore implements ModelStore {
  readonly #cache: Cache;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  async size(file: string): Promise<number> {
    return (await this.#parts(file)).at(-1)?.end ?? 0;
  }

  async read(file: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>> {
    const { start, end } = range ?? { start: 0, end: Number.POSITIVE_INFINITY };
    const parts = (await this.#parts(file)).filter((part) => part.end > start && part.start < end);
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
      const part = parts.shift();
      if (!part) return controller.close();
      const bytes = new Uint8Array(await ((await this.#cache.match(part.request)) as Response).arrayBuffer());
      controller.enqueue(bytes.subarray(Math.max(0, start - part.start), Math.min(bytes.length, end - part.start)));
    };
    return new ReadableStream({ pull }, { highWaterMark: 0 });
  }

  async append(file: string): Promise<StoreWriter> {
    return new CacheApiWriter(this.#cache, file, await this.size(file));
  }

  async remove(file: string): Promise<void> {
    await this.#cache.delete(urlOf(file), { ignoreSearch: true });
  }

  async #parts(file: string): Promise<Part[]> {
    const requests = await this.#cache.keys(urlOf(file), { ignoreSearch: true });
    const parts = requests.map((request) => {
      const [start, end] = new URL(request.url).search.slice(1).split("-").map(Number);
      return { start, end, request };
    });
    return parts.sort((a, b) => a.start - b.start);
  }
}

class CacheApiWriter implements StoreWriter {
  readonly #cache: Cache;
  readonly #file: string;
  /** Position of the first byte of `#chunks`. */
  #position: number;
  #chunks: Uint8Array<ArrayBuffer>[] = [];
  #numBytes = 0;

  constructor(cache: Cache, file: string, position: number) {
    this.#cache = cache;
    this.#file = file;
    this.#position = position;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#chunks.push(chunk.slice());
    this.#numBytes += chunk.length;
    if (this.#numBytes >= PART_BYTES) await this.close();
  }

  async close(): Promise<void> {
    if (this.#numBytes === 0) return;
    const end = this.#position + this.#numBytes;
    await this.#cache.put(`${urlOf(this.#file)}?${this.#position}-${end}`, new Response(new Blob(this.#chunks)));
    this.#chunks = [];
    this.#numBytes = 0;
    this.#position = end;
  }
}

/** Never asked for on the network. A worker that began as a blob has no other base than its origin. */
function urlOf(file: string): string {
  return `${globalThis.origin}/${CACHE_PREFIX}${file}`;
}
