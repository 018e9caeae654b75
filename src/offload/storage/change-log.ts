import type { KvKey } from "../../kv/chunk";
import type { StorageChanges } from "../storage-tier";

/** What happened in storage, until somebody asks. */
export class ChangeLog {
  #keys: KvKey[] = [];
  #isIndexNew = false;
  #failed = new Map<string, KvKey[]>();
  #reads: StorageChanges["reads"][number][] = [];

  addKey(key: KvKey): void {
    this.#keys.push(key);
  }

  addIndex(): void {
    this.#isIndexNew = true;
  }

  addFailed(key: KvKey, requestIds: Iterable<string>): void {
    for (const requestId of requestIds) this.#failed.set(requestId, [...(this.#failed.get(requestId) ?? []), key]);
  }

  addRead(numChunks: number, ms: number): void {
    this.#reads.push({ numChunks, ms });
  }

  take(): StorageChanges {
    const changes = { keys: this.#keys, isIndexNew: this.#isIndexNew, failed: this.#failed, reads: this.#reads };
    this.#keys = [];
    this.#isIndexNew = false;
    this.#failed = new Map();
    this.#reads = [];
    return changes;
  }
}
