import { type BlockDatabase, openBlockDatabase } from "./block-database";
import type { RecordFile } from "./record-file";
import { isConnectionLost, StorageFailure } from "./storage-fault";

/** Does something with a database, and with the file of the namespace's bytes where there is one. */
type Use<T> = (db: BlockDatabase, file: RecordFile | null) => Promise<T>;

/**
 * The one connection of a store: opened when it is needed, given up when it is lost or in somebody's way, and opened anew. The file
 * is opened with it, and kept.
 */
export class BlockConnection {
  readonly #load: Use<void>;
  readonly #openFile: () => Promise<RecordFile | null>;
  #db: BlockDatabase | null = null;
  #file: RecordFile | null = null;
  /** The connection that `load` has seen. */
  #loaded: BlockDatabase | null = null;
  #isClosed = false;

  /** `load` takes in what the database holds, before anything else is done with a connection. */
  constructor(load: Use<void>, openFile: () => Promise<RecordFile | null>) {
    this.#load = load;
    this.#openFile = openFile;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Null while there is none. */
  get db(): BlockDatabase | null {
    return this.#db;
  }

  /** What was loaded is not to be relied on: it is loaded again before the next use. */
  reload(): void {
    this.#loaded = null;
  }

  /** Runs with the connection. Where that turns out to be lost it is made anew and `run` begins anew, once. */
  async use<T>(run: Use<T>): Promise<T> {
    for (let numLost = 0; ; numLost++) {
      const db = await this.#connect();
      try {
        if (this.#loaded !== db) await this.#load(db, this.#file);
        this.#loaded = db;
        return await run(db, this.#file);
      } catch (error) {
        if (numLost > 0 || !isConnectionLost(error)) throw error;
        this.#drop();
      }
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
    this.#file?.close();
    this.#file = null;
  }

  async #connect(): Promise<BlockDatabase> {
    if (this.#db) return this.#db;
    if (!this.#isClosed) this.#db = await openBlockDatabase((db) => db === this.#db && this.#drop());
    if (!this.#isClosed) this.#file ??= await this.#openFile();
    // Closed while it opened, it would stay in the way of others.
    if (this.#isClosed) this.close();
    if (!this.#db) throw new StorageFailure("closed", "The store was closed.");
    return this.#db;
  }

  #drop(): void {
    this.#db?.close();
    this.#db = null;
  }
}
