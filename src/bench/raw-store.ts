import { deleteDB, type IDBPDatabase, openDB } from "idb";
import { maxChunksPerOp } from "../offload/storage/storage-op";
import { median } from "./statistics";

const DATABASE = "cairn-bench";

export interface RawRates {
  readonly rawWriteMegabytesPerSecond: number;
  readonly rawReadMegabytesPerSecond: number;
}

/** IndexedDB by itself: records of one size, without headers, checksums or books. */
export class RawStore {
  readonly #db: IDBPDatabase;
  readonly #recordBytes: number;
  readonly #numRecords: number;

  private constructor(db: IDBPDatabase, recordBytes: number, numRecords: number) {
    this.#db = db;
    this.#recordBytes = recordBytes;
    this.#numRecords = numRecords;
  }

  /** Medians over the repeats. The database is deleted again. */
  static async measure(recordBytes: number, numRecords: number, repeats: number): Promise<RawRates> {
    const db = await openDB(DATABASE, 1, { upgrade: (fresh) => void fresh.createObjectStore("blocks") });
    const store = new RawStore(db, recordBytes, numRecords);
    const [writes, reads]: [number[], number[]] = [[], []];
    for (let repeat = 0; repeat < repeats; repeat++) {
      writes.push(await store.#rateOf(() => store.#write(repeat)));
      reads.push(await store.#rateOf(() => store.#read(repeat)));
    }
    db.close();
    await deleteDB(DATABASE);
    return { rawWriteMegabytesPerSecond: median(writes), rawReadMegabytesPerSecond: median(reads) };
  }

  async #rateOf(action: () => Promise<void>): Promise<number> {
    const startMs = performance.now();
    await action();
    return (this.#recordBytes * this.#numRecords) / (performance.now() - startMs) / 1000;
  }

  async #write(repeat: number): Promise<void> {
    const bytes = crypto.getRandomValues(new Uint8Array(Math.min(this.#recordBytes, 65_536)));
    const record = new Uint8Array(this.#recordBytes).map((_, index) => bytes[index % bytes.length]).buffer;
    for (const batch of this.#batches()) {
      const transaction = this.#db.transaction("blocks", "readwrite", { durability: "relaxed" });
      for (const index of batch) void transaction.store.put(record, `${repeat}/${index}`);
      transaction.commit();
      await transaction.done;
    }
  }

  async #read(repeat: number): Promise<void> {
    for (const batch of this.#batches()) {
      const { store } = this.#db.transaction("blocks");
      await Promise.all(batch.map((index) => store.get(`${repeat}/${index}`)));
    }
  }

  /** As the storage tier reads and writes them. */
  #batches(): number[][] {
    const size = maxChunksPerOp(this.#recordBytes);
    const numBatches = Math.ceil(this.#numRecords / size);
    return Array.from({ length: numBatches }, (_, batch) =>
      Array.from({ length: Math.min(size, this.#numRecords - batch * size) }, (_, i) => batch * size + i),
    );
  }
}
