import { type BlockDatabase, openBlockDatabase } from "./block-database";
import { isConnectionLost, StorageFailure } from "./storage-fault";

/** The one connection of a store: opened when it is needed, given up when it is lost or in somebody's way, and opened anew. */
export class BlockConnection {
  readonly #load: (db: BlockDatabase) => Promise<void>;
  #db: BlockDatabase | null = null;
  /** The connection that `load` has seen. */
  #loaded: BlockDatabase | null = null;
  #isClosed = false;

  /** `load` takes in what the database holds, before anything else is done with a connection. */
  constructor(load: (db: BlockDatabase) => Promise<void>) {
    this.#load = load;
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
  async use<T>(run: (db: BlockDatabase) => Promise<T>): Promise<T> {
    for (let numLost = 0; ; numLost++) {
      const db = await this.#connect();
      try {
        if (this.#loaded !== db) await this.#load(db);
        this.#loaded = db;
        return await run(db);
      } catch (error) {
        if (numLost > 0 || !isConnectionLost(error)) throw error;
        this.#drop();
      }
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  async #connect(): Promise<BlockDatabase> {
    if (this.#db) return this.#db;
    if (!this.#isClosed) this.#db = await openBlockDatabase((db) => db === this.#db && this.#drop());
    // Closed while it opened, it would stay in the way of others.
    if (this.#isClosed) this.#drop();
    if (!this.#db) throw new StorageFailure("closed", "The store was closed.");
    return this.#db;
  }

  #drop(): void {
    this.#db?.close();
    this.#db = null;
  }
}
