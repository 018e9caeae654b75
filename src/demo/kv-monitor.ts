import type { CairnError, KvStats, KvTier } from "../index";
import { asCairnError } from "./as-cairn-error";

/** The part of `engine.kv` that this page uses. */
export interface KvSource {
  stats(): Promise<KvStats>;
  clear(options: { readonly tiers: readonly KvTier[] }): Promise<void>;
}

export type KvReading =
  /** No engine, or nothing was read from it yet. */
  | { readonly status: "empty" }
  | { readonly status: "read"; readonly stats: KvStats }
  | { readonly status: "failed"; readonly error: CairnError };

const INTERVAL_MS = 1000;
const EMPTY: KvReading = { status: "empty" };

/** The latest numbers of one engine's KV cache. While somebody watches they are read about once a second. Nothing here throws: failures are readings. */
export class KvMonitor {
  readonly #listeners = new Set<() => void>();
  #source: KvSource | null = null;
  #reading: KvReading = EMPTY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  get reading(): KvReading {
    return this.#reading;
  }

  /** Reads from this source from now on; null where there is no engine. */
  connect(source: KvSource | null): void {
    this.#source = source;
    this.#set(EMPTY);
    if (this.#listeners.size > 0) void this.refresh();
  }

  /** Calls `listener` after each reading. Returns the way to end that. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) void this.#poll();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) clearTimeout(this.#timer);
    };
  }

  refresh(): Promise<void> {
    return this.#read((source) => source.stats());
  }

  /** Empties these tiers. */
  clear(tiers: readonly KvTier[]): Promise<void> {
    return this.#read(async (source) => {
      await source.clear({ tiers });
      return source.stats();
    });
  }

  /** The next reading waits for the last one: a busy engine is not asked twice. */
  async #poll(): Promise<void> {
    await this.refresh();
    clearTimeout(this.#timer);
    if (this.#listeners.size > 0) this.#timer = setTimeout(() => void this.#poll(), INTERVAL_MS);
  }

  async #read(call: (source: KvSource) => Promise<KvStats>): Promise<void> {
    const source = this.#source;
    if (!source) return;
    const reading = await call(source).then(
      (stats): KvReading => ({ status: "read", stats }),
      (thrown): KvReading => ({ status: "failed", error: asCairnError(thrown) }),
    );
    // What an engine says that was given up meanwhile is of no interest.
    if (source === this.#source) this.#set(reading);
  }

  #set(reading: KvReading): void {
    this.#reading = reading;
    for (const listener of this.#listeners) listener();
  }
}
