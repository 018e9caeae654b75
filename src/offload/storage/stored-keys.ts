import type { KvKey } from "../../kv/chunk";

/** What storage has, as far as this session knows. Existence is answered from here. */
export class StoredKeys {
  /** Null until the store was opened. */
  #keys: Set<KvKey> | null = null;
  /** Whose records are not to be believed: nobody finds or writes them until storage is cleared. */
  readonly #discarded = new Set<KvKey>();
  /** Those of them whose records are still to be deleted. */
  #toDelete: KvKey[] = [];

  get isKnown(): boolean {
    return this.#keys !== null;
  }

  get size(): number {
    return this.#keys?.size ?? 0;
  }

  has(key: KvKey): boolean {
    return this.#keys?.has(key) ?? false;
  }

  isDiscarded(key: KvKey): boolean {
    return this.#discarded.has(key);
  }

  replace(keys: readonly KvKey[]): void {
    this.#keys = new Set(keys.filter((key) => !this.#discarded.has(key)));
  }

  add(keys: readonly KvKey[]): void {
    for (const key of keys) if (!this.#discarded.has(key)) this.#keys?.add(key);
  }

  delete(keys: readonly KvKey[]): void {
    for (const key of keys) this.#keys?.delete(key);
  }

  discard(keys: readonly KvKey[]): void {
    this.delete(keys);
    for (const key of keys) this.#discarded.add(key);
    this.#toDelete.push(...keys);
  }

  takeToDelete(): readonly KvKey[] {
    const keys = this.#toDelete;
    this.#toDelete = [];
    return keys;
  }

  /** No record of before is there any more. */
  forgetDiscarded(): void {
    this.#discarded.clear();
  }
}
