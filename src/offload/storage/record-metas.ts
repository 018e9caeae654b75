import type { PrefixHash } from "../../kv/prefix-hashes";
import type { RecordKey } from "./block-record";
import type { Place } from "./file-space";

/** What is known of a record without reading it: its row in the store `meta`. */
export interface RecordMeta {
  /** Of KV. */
  readonly bytes: number;
  /** Milliseconds since 1970, with a fraction that keeps the order of uses within one. */
  readonly lastUsedMs: number;
  readonly parent: PrefixHash | null;
  /** Of its bytes in the namespace's file, where they are not in the record. Only a row read in a transaction says it: memory may be late. */
  readonly place?: Place;
}

/** A clock may be put back by so much; a use that is farther ahead was told by a wrong clock, and nobody knows its age. */
const CLOCK_SLACK_MS = 24 * 3600 * 1000;
/** Exact in a double for the next thousand years. */
const STAMP_MS = 2 ** -10;

/** Whether it is what we write, and not something that another put there. */
export function isMeta(row: RecordMeta): boolean {
  return Number.isFinite(row?.bytes) && Number.isFinite(row.lastUsedMs);
}

/** Of the bytes that a row has in the file. */
export function placeOf(row: unknown): Place {
  const { place } = (row ?? {}) as { readonly place?: unknown };
  return Array.isArray(place) ? place : [];
}

export function isPastItsTime({ lastUsedMs }: RecordMeta, nowMs: number, ttlMs: number): boolean {
  const ageMs = nowMs - lastUsedMs;
  return ageMs > ttlMs || ageMs < -CLOCK_SLACK_MS;
}

/** The metas of a namespace in memory: which records there are, how large, and which was used last. */
export class RecordMetas {
  readonly #now: () => number;
  readonly #metas = new Map<RecordKey, RecordMeta>();
  readonly #touched = new Set<RecordKey>();
  #bytes = 0;
  #lastStampMs = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Those that were used since their rows were written. */
  get touched(): (readonly [RecordKey, RecordMeta])[] {
    return [...this.#touched].map((key) => [key, this.#metas.get(key)!]);
  }

  /** Their rows are written. */
  clearTouched(): void {
    this.#touched.clear();
  }

  get(key: RecordKey): RecordMeta | undefined {
    return this.#metas.get(key);
  }

  keysUnder(prefix: string): RecordKey[] {
    return [...this.#metas.keys()].filter((key) => key.startsWith(prefix));
  }

  /** Forgets all and takes these instead. Uses that are not written down yet are remembered. */
  load(rows: Iterable<readonly [RecordKey, RecordMeta]>): void {
    const gone = new Set(this.#metas.keys());
    for (const [key, row] of rows) {
      this.take(key, row);
      gone.delete(key);
    }
    for (const key of gone) this.delete(key);
  }

  /** As its row says it; null: there is none. A use that is not written down yet is remembered. */
  take(key: RecordKey, row: RecordMeta | null): void {
    const used = this.#touched.has(key) ? this.get(key) : undefined;
    if (!row) this.delete(key);
    else if (!used) this.set(key, row);
    else {
      this.set(key, { ...row, lastUsedMs: Math.max(row.lastUsedMs, used.lastUsedMs) });
      this.#touched.add(key);
    }
  }

  set(key: RecordKey, meta: RecordMeta): void {
    this.delete(key);
    this.#metas.set(key, meta);
    this.#bytes += meta.bytes;
  }

  delete(key: RecordKey): void {
    this.#bytes -= this.#metas.get(key)?.bytes ?? 0;
    this.#metas.delete(key);
    this.#touched.delete(key);
  }

  clear(): void {
    this.#metas.clear();
    this.#touched.clear();
    this.#bytes = 0;
  }

  /** Later than all before it, and hardly later than now. */
  stamp(): number {
    this.#lastStampMs = Math.max(this.#now(), this.#lastStampMs + STAMP_MS);
    return this.#lastStampMs;
  }

  /** These were used now, head first: the head's use is the latest. Those that are not here are passed over. */
  touch(keys: readonly RecordKey[]): void {
    for (const key of keys.toReversed()) {
      const meta = this.#metas.get(key);
      if (!meta) continue;
      this.#metas.set(key, { ...meta, lastUsedMs: this.stamp() });
      this.#touched.add(key);
    }
  }

  /**
   * Records to delete so that at least `numBytes` go, or all that may: those of other fingerprints first, and of each kind
   * what was not used for longest.
   */
  victims(numBytes: number, ownPrefix: string, kept: ReadonlySet<RecordKey>): RecordKey[] {
    if (numBytes <= 0) return [];
    const candidates = [...this.#metas].filter(([key]) => !kept.has(key));
    const isOwn = (key: RecordKey) => Number(key.startsWith(ownPrefix));
    candidates.sort(([a, first], [b, second]) => isOwn(a) - isOwn(b) || first.lastUsedMs - second.lastUsedMs);
    const victims: RecordKey[] = [];
    let left = numBytes;
    for (const [key, { bytes }] of candidates) {
      if (left <= 0) break;
      victims.push(key);
      left -= bytes;
    }
    return victims;
  }
}
