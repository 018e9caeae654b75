import { DAY_MS } from "./block-store.fixture";

export const RECORD_BYTES = 64;

interface ModelRecord {
  readonly name: string;
  readonly fingerprint: string;
  /** Milliseconds; what orders uses within one is `order`. */
  usedMs: number;
  order: number;
  /** As its row in the database says it. */
  durable: { readonly usedMs: number; readonly order: number };
}

export interface ModelOptions {
  readonly maxRecords: number;
  readonly ttlMs: number;
}

/** What a store must do, in arrays: one namespace, one fingerprint at a time. */
export class StoreModel {
  records: ModelRecord[] = [];
  clearEpoch = 0;
  numForeignEvictions = 0;
  readonly #options: ModelOptions;
  readonly #writtenByDay = new Map<number, number>();
  #fingerprint = "";
  #nowMs: number;
  #order = 0;

  constructor(options: ModelOptions, nowMs: number) {
    this.#options = options;
    this.#nowMs = nowMs;
  }

  get bytes(): number {
    return RECORD_BYTES * this.records.length;
  }

  get bytesWrittenToday(): number {
    return RECORD_BYTES * (this.#writtenByDay.get(this.#day) ?? 0);
  }

  get #day(): number {
    return Math.floor(this.#nowMs / DAY_MS);
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }

  /** Keys of the index. */
  open(fingerprint: string): string[] {
    this.#fingerprint = fingerprint;
    for (const record of this.records) Object.assign(record, record.durable);
    this.records = this.records.filter((record) => !this.#isPast(record));
    this.#evict(this.records.length - this.#options.maxRecords, []);
    return this.records.filter((record) => this.#isOwn(record)).map(({ name }) => name);
  }

  write(clearEpoch: number, names: readonly string[]): { written: string[]; evicted: string[] } {
    if (clearEpoch !== this.clearEpoch) return { written: [], evicted: [] };
    const present = names.filter((name) => this.#find(name));
    const absent = names.filter((name) => !this.#find(name));
    const added = absent.slice(0, Math.max(0, this.#options.maxRecords - present.length));
    const numOver = this.records.length + added.length - this.#options.maxRecords;
    const evicted = this.#evict(numOver, names);
    for (const name of added.toReversed()) {
      const use = this.#use();
      this.records.push({ name, fingerprint: this.#fingerprint, ...use, durable: use });
    }
    this.#writtenByDay.set(this.#day, (this.#writtenByDay.get(this.#day) ?? 0) + added.length);
    this.touch(present);
    return { written: names.filter((name) => present.includes(name) || added.includes(name)), evicted };
  }

  /** Which of them are there. */
  read(names: readonly string[]): boolean[] {
    this.records = this.records.filter((record) => !this.#isAsked(record, names) || !this.#isPast(record));
    const isThere = names.map((name) => this.#find(name) !== undefined);
    this.touch(names);
    return isThere;
  }

  touch(names: readonly string[]): void {
    for (const name of names.toReversed()) {
      const record = this.#find(name);
      if (record) Object.assign(record, this.#use());
    }
  }

  flush(): void {
    for (const record of this.records) record.durable = { usedMs: record.usedMs, order: record.order };
  }

  clear(): number {
    this.records = [];
    this.clearEpoch += 1;
    return this.clearEpoch;
  }

  #use() {
    this.#order += 1;
    return { usedMs: this.#nowMs, order: this.#order };
  }

  #find(name: string): ModelRecord | undefined {
    return this.records.find((record) => record.name === name && this.#isOwn(record));
  }

  #isOwn({ fingerprint }: ModelRecord): boolean {
    return fingerprint === this.#fingerprint;
  }

  #isAsked(record: ModelRecord, names: readonly string[]): boolean {
    return this.#isOwn(record) && names.includes(record.name);
  }

  #isPast({ usedMs }: ModelRecord): boolean {
    return this.#nowMs - usedMs > this.#options.ttlMs;
  }

  /** Names of the own ones among those that went. */
  #evict(count: number, kept: readonly string[]): string[] {
    const candidates = this.records.filter((record) => !this.#isAsked(record, kept));
    candidates.sort((a, b) => Number(this.#isOwn(a)) - Number(this.#isOwn(b)) || a.order - b.order);
    const victims = candidates.slice(0, Math.max(0, count));
    this.records = this.records.filter((record) => !victims.includes(record));
    const own = victims.filter((record) => this.#isOwn(record));
    this.numForeignEvictions += victims.length - own.length;
    return own.map(({ name }) => name);
  }
}
