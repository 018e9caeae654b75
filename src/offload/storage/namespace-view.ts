import type { BlockDatabase } from "./block-database";
import type { KeyScope, RecordKey } from "./block-record";
import { readNamespace, readRows } from "./namespace-rows";
import { isMeta, isPastItsTime, type RecordMeta, RecordMetas } from "./record-metas";

/** Which rows are ours. */
export interface ViewScope {
  readonly scope: KeyScope;
  readonly options: { readonly ttlMs: number };
}

/** What a namespace holds, in memory: the metas of its records, and what else its rows told last. */
export class NamespaceView {
  readonly metas: RecordMetas;
  clearEpoch = 0;
  readonly #now: () => number;
  #today = { dayKey: "", bytesWritten: 0 };

  constructor(now: () => number) {
    this.#now = now;
    this.metas = new RecordMetas(now);
  }

  /** Takes in what the database has. Returns the rows that are to be deleted: of what is past its time, and of days past. */
  async load(db: BlockDatabase, { scope, options }: ViewScope): Promise<RecordKey[]> {
    const { clearEpoch, metas, bytesWrittenByDay } = await readNamespace(db, scope);
    const isHere = metas.map(([, row]) => this.#isHere(row, options.ttlMs));
    this.metas.load(metas.filter((_, i) => isHere[i]));
    this.clearEpoch = clearEpoch;
    const dayKey = this.dayKey(scope);
    this.wrote(dayKey, bytesWrittenByDay.get(dayKey) ?? 0);
    const pastRecords = metas.flatMap(([key], i) => (isHere[i] ? [] : [key]));
    return [...pastRecords, ...[...bytesWrittenByDay.keys()].filter((key) => key < dayKey)];
  }

  /** Takes in what the rows of these records say now. Returns those that memory did not have, and those that it had in vain. */
  async look(
    db: BlockDatabase,
    { scope, options }: ViewScope,
    keys: readonly RecordKey[],
  ): Promise<{ readonly added: RecordKey[]; readonly deleted: RecordKey[] }> {
    const dayKey = this.dayKey(scope);
    const { rows, bytesWritten } = await readRows(db, keys, dayKey);
    this.wrote(dayKey, bytesWritten);
    const found: { added: RecordKey[]; deleted: RecordKey[] } = { added: [], deleted: [] };
    keys.forEach((key, i) => {
      const row = this.#isHere(rows[i], options.ttlMs) ? rows[i] : null;
      const isKnown = this.metas.get(key) !== undefined;
      if (row && !isKnown) found.added.push(key);
      if (!row && isKnown) found.deleted.push(key);
      this.metas.take(key, row);
    });
    return found;
  }

  isPast(row: RecordMeta, ttlMs: number): boolean {
    return isPastItsTime(row, this.#now(), ttlMs);
  }

  dayKey({ dayPrefix }: KeyScope): string {
    return dayPrefix + new Date(this.#now()).toISOString().slice(0, 10);
  }

  /** So many bytes on that day, by all tabs. */
  wrote(dayKey: string, bytesWritten: number): void {
    this.#today = { dayKey, bytesWritten };
  }

  bytesWrittenToday(scope: KeyScope): number {
    return this.#today.dayKey === this.dayKey(scope) ? this.#today.bytesWritten : 0;
  }

  /** Neither past its time nor what another put there. */
  #isHere(row: RecordMeta | undefined, ttlMs: number): row is RecordMeta {
    return row !== undefined && isMeta(row) && !this.isPast(row, ttlMs);
  }
}
