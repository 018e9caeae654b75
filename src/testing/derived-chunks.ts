import { keyScope } from "../offload/storage/block-record";
import type { ChunkToWrite, StorageOptions } from "../offload/storage/storage-api";
import { type StorageConnection, startStorageWorker } from "../offload/storage/storage-connection";
import { checkFile, listKeys } from "./block-rows";
import { Random } from "./random";

const MIB = 2 ** 20;
const NAMESPACE = "derived";
const OPTIONS: Omit<StorageOptions, "backend"> = {
  namespace: NAMESPACE,
  fingerprint: "d".repeat(32),
  chunkBytes: MIB / 8,
  maxBytes: null,
  ttlMs: 24 * 3_600_000,
};
const CHUNKS_PER_WRITE = 8;
/** So that there is always one under way. */
const WRITES_AT_ONCE = 3;

/** What was found of chunks that somebody wrote before. */
export interface ChunkCheck {
  /** Of chunks that the store names, and could not read as they were written; or that it does not name, but has. */
  readonly problems: readonly string[];
  /** Numbers of those that are whole. */
  readonly wholeIds: readonly number[];
  /** Of these, those whose bytes are in the file. */
  readonly numInFile: number;
}

/** Chunks whose every byte follows from their number, in a store in a worker of its own. */
export class DerivedChunks {
  readonly #connection: StorageConnection;
  readonly #backend: StorageOptions["backend"];

  constructor(storeUrl: string, backend: StorageOptions["backend"]) {
    this.#connection = startStorageWorker(storeUrl);
    this.#backend = backend;
  }

  close(): void {
    this.#connection.close();
  }

  /** Reads all that is there. */
  async check(): Promise<ChunkCheck> {
    const ids = (await this.#open()).map((key) => Number(key.split("/")[1]));
    const problems: string[] = [];
    const wholeIds: number[] = [];
    for (let start = 0; start < ids.length; start += CHUNKS_PER_WRITE) {
      const expected = ids.slice(start, start + CHUNKS_PER_WRITE).map(chunkOf);
      const { chunks, fault } = await this.#connection.api.read(expected);
      if (fault) problems.push(fault.message);
      expected.forEach(({ key, bytes }, i) => {
        const isWhole = chunks[i] !== null && areEqual(chunks[i], bytes);
        if (isWhole) wholeIds.push(ids[start + i]);
        else problems.push(`chunk ${key} ${chunks[i] ? "has other bytes" : "cannot be read"}`);
      });
    }
    const file = await checkFile(NAMESPACE);
    problems.push(...(await this.#checkRows(ids.length)), ...file.problems);
    return { problems, wholeIds, numInFile: file.numInFile };
  }

  /** Writes chunks from this number on, without an end; tells of each write when it begins and when it has ended. */
  async write(
    firstId: number,
    onWrite: (event: "begin" | "end", firstId: number, numChunks: number) => void,
  ): Promise<never> {
    await this.#open();
    let nextId = firstId;
    const writeOn = async (): Promise<never> => {
      for (;;) {
        const startId = nextId;
        nextId += CHUNKS_PER_WRITE;
        const chunks = Array.from({ length: CHUNKS_PER_WRITE }, (_, i) => chunkOf(startId + i));
        onWrite("begin", startId, CHUNKS_PER_WRITE);
        const { written, fault } = await this.#connection.api.write(0, chunks);
        if (fault || written.length < chunks.length) throw new Error(`a write failed: ${fault?.message}`);
        onWrite("end", startId, CHUNKS_PER_WRITE);
      }
    };
    return Promise.race(Array.from({ length: WRITES_AT_ONCE }, writeOn));
  }

  async #open(): Promise<readonly string[]> {
    const { index, fault } = await this.#connection.api.open({ ...OPTIONS, backend: this.#backend });
    if (!index) throw new Error(`the store has no index: ${fault?.message}`);
    return index.keys;
  }

  /** Each record has a row that names it, and each row its record; of both there are as many as the index names. */
  async #checkRows(numIndexed: number): Promise<string[]> {
    const { namespacePrefix } = keyScope(NAMESPACE, OPTIONS.fingerprint);
    const { blocks, metas } = await listKeys(namespacePrefix);
    if (JSON.stringify(blocks) !== JSON.stringify(metas)) return ["records and their rows do not go together"];
    if (blocks.length !== numIndexed) return [`${numIndexed} of ${blocks.length} records are in the index`];
    return [];
  }
}

function chunkOf(id: number): ChunkToWrite {
  const random = new Random(id);
  const words = Uint32Array.from({ length: OPTIONS.chunkBytes / 4 }, () => random.uint32());
  const header = { parent: id === 0 ? null : String(id - 1), tokenIds: [id] };
  return { key: `0/${id}`, header, bytes: words.buffer };
}

function areEqual(one: ArrayBuffer, other: ArrayBuffer): boolean {
  const [a, b] = [new Uint32Array(one), new Uint32Array(other)];
  return a.length === b.length && a.every((word, i) => word === b[i]);
}
