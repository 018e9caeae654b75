import type { KvKey } from "../kv/chunk";
import { HostManager } from "../offload/host-manager";
import type { LookupResult, PreparedStore } from "../offload/offload-manager";
import type { OffloadDriver, OffloadTurn } from "./offload-driver.fixture";
import type { RequestOptions } from "./request";

/** Runs a request alone, for two ids unless told otherwise, and empties the prefix cache: its chunks are in the host tier only. */
export function offload(
  driver: OffloadDriver,
  requestId: string,
  prompt: number | readonly number[],
  options: Partial<RequestOptions> = {},
): void {
  driver.add(requestId, prompt, { maxTokens: 2, ...options });
  driver.run();
  driver.scheduler.resetPrefixCache();
}

/** As `offload`, and empties the host tier: its chunks are in storage only. */
export function persist(
  driver: OffloadDriver,
  requestId: string,
  prompt: number | readonly number[],
  options: Partial<RequestOptions> = {},
): void {
  offload(driver, requestId, prompt, options);
  driver.scheduler.clearTiers(["host"]);
  driver.takeStorageOps();
}

/** What each turn computes and copies; turns that do neither are left out. */
export function work(turns: readonly OffloadTurn[]): [step: string, transfers: string][] {
  return turns.flatMap(([step, transfers]) => (step || transfers ? [[step, transfers]] : []));
}

/** What each turn copies, if it copies anything. */
export function copies(turns: readonly OffloadTurn[]): string[] {
  return turns.flatMap(([, transfers]) => transfers || []);
}

/** A host tier of 32 slots that takes and finds what the test says. */
export class PickyManager extends HostManager {
  takes: (key: KvKey) => boolean = () => true;
  /** In the place of what it would say. */
  readonly answers = new Map<KvKey, LookupResult>();
  #numChanges = 0;

  constructor(now: () => number = () => 0) {
    super({ numSlots: 32, evictionPolicy: "lru", storeThreshold: 1, reserveSlot: () => true, now });
  }

  /** What was refused may fare better from now on. */
  changeMind(takes: (key: KvKey) => boolean): void {
    this.takes = takes;
    this.#numChanges += 1;
  }

  override get storeEpoch(): number {
    return super.storeEpoch + this.#numChanges;
  }

  override lookup(key: KvKey): LookupResult {
    return this.answers.get(key) ?? super.lookup(key);
  }

  override prepareStore(keys: readonly KvKey[]): PreparedStore {
    const { accepted, present, refused } = super.prepareStore(keys.filter((key) => this.takes(key)));
    return { accepted, present, refused: [...refused, ...keys.filter((key) => !this.takes(key))] };
  }
}
