import type { KvKey } from "../../kv/chunk";
import type { HostManager } from "../host-manager";
import type {
  LookupResult,
  OffloadEvent,
  OffloadManager,
  OffloadManagerStats,
  PreparedStore,
} from "../offload-manager";
import { StorageBooks, type StorageBooksOptions } from "./storage-books";

/**
 * RAM with storage below it. The books change in the scheduler's calls; those of storage also in `settle`, which takes in what
 * came of its ops and comes before a step is scheduled, and in `pump`, which hands ops on and comes after.
 */
export class TieredManager implements OffloadManager {
  readonly storage: StorageBooks;
  readonly #host: HostManager;

  constructor(options: StorageBooksOptions) {
    this.#host = options.host;
    this.storage = new StorageBooks(options);
  }

  get storeEpoch(): number {
    return this.#host.storeEpoch;
  }

  sight(keys: readonly KvKey[]): void {
    this.#host.sight(keys);
  }

  lookup(key: KvKey): LookupResult {
    const state = this.#host.lookup(key);
    return state === "miss" ? this.storage.lookup(key) : state;
  }

  touch(keys: readonly KvKey[]): void {
    this.#host.touch(keys);
    this.storage.touch(keys);
  }

  prepareLoad(keys: readonly KvKey[]): readonly number[] {
    return this.#host.prepareLoad(keys);
  }

  completeLoad(slotIds: readonly number[]): void {
    this.#host.completeLoad(slotIds);
  }

  /** What storage has is present. */
  prepareStore(keys: readonly KvKey[]): PreparedStore {
    const stored = new Set(keys.filter((key) => this.lookup(key) === "stored"));
    const { accepted, present, refused } = this.#host.prepareStore(keys.filter((key) => !stored.has(key)));
    return { accepted, present: [...present, ...stored], refused };
  }

  completeStore(slotId: number, success: boolean): void {
    this.#host.completeStore(slotId, success);
    this.storage.storeEnded(slotId);
  }

  discard(keys: readonly KvKey[]): void {
    this.storage.discard(keys);
    this.#host.discard(keys);
  }

  clear(): void {
    this.#host.clear();
    this.storage.hostCleared();
  }

  takeEvents(): readonly OffloadEvent[] {
    return this.#host.takeEvents();
  }

  get stats(): OffloadManagerStats {
    return this.#host.stats;
  }

  checkIntegrity({ numPending, numReaders }: { readonly numPending: number; readonly numReaders: number }): void {
    this.storage.checkIntegrity(numPending);
    const held = this.storage.holds;
    this.#host.checkIntegrity({ numPending: numPending + held.numPending, numReaders: numReaders + held.numReaders });
  }
}
