import type { KvKey } from "../../kv/chunk";
import type { StorageChanges } from "../storage-tier";

/** What happened in storage, until somebody asks. */
export class ChangeLog {
  #keys: KvKey[] = [];
  #isIndexNew = false;
  #failed = new Map<string, KvKey[]>();

  addKey(key: KvKey): void {
    this.#keys.push(key);
  }

  addIndex(): void {
    this.#isIndexNew = true;
  }

  addFailed(key: KvKey, requestIds: Iterable<string>): void {
    for (const requestId of requestIds) this.#failed.set(requestId, [...(this.#failed.get(requestId) ?? []), key]);
  }

  take(): StorageChanges {
    const changes = { keys: this.#keys, isIndexNew: this.#isIndexNew, failed: this.#failed };
    this.#keys = [];
    this.#isIndexNew = false;
    this.#failed = new Map();
    return changes;
  }
}
