import { kvKey } from "../../kv/chunk";
import { tokens } from "../../kv/kv-request.fixture";
import { PrefixHashes } from "../../kv/prefix-hashes";
import { HostManager } from "../host-manager";
import { CHUNK_BYTES, type Clock, makeStore, OPTIONS } from "./block-store.fixture";
import type { StorageOptions } from "./storage-api";
import { StorageOpExecutor } from "./storage-executor";
import type { FakeBrowser } from "./tabs.fixture";
import { TieredManager } from "./tiered-manager";

export const NUM_PLACES = 12;

const hashes = new PrefixHashes(4, { cacheSalt: null }, (start, end) => tokens(1, 64).slice(start, end));
/** Chunk i of the one prefix: one block. */
export const keyAt = (place: number) => kvKey(0, hashes.at(place));

/** Books, executor and store of one tab, as an engine there has them; RAM has room for all chunks. */
export class TabTier {
  readonly manager: TieredManager;
  readonly executor: StorageOpExecutor;

  constructor(browser: FakeBrowser, clock: Clock, storageOptions: Partial<StorageOptions> = {}) {
    const store = makeStore(clock, browser.tabsOptions);
    const slots = Array.from({ length: NUM_PLACES }, () => new Uint8Array(CHUNK_BYTES));
    this.executor = new StorageOpExecutor({
      connect: () => ({ api: store, close: () => store.close(), leave: () => store.close(), onDeath() {} }),
      storageOptions: { ...OPTIONS, ...storageOptions },
      slots: { slot: (slotId) => slots[slotId] },
      now: () => clock.nowMs,
    });
    const host = { numSlots: NUM_PLACES, evictionPolicy: "lru", storeThreshold: 0, reserveSlot: () => true } as const;
    this.manager = new TieredManager({
      host: new HostManager({ ...host, now: () => clock.nowMs }),
      executor: this.executor,
      numGroups: 1,
      blocksPerChunk: 1,
      chunkBytes: CHUNK_BYTES,
      now: () => clock.nowMs,
    });
    this.executor.onResults = () => this.step();
  }

  step(): void {
    this.manager.storage.settle();
    this.manager.storage.pump();
  }

  /** Plans to write what storage does not have of these. */
  store(...places: readonly number[]): void {
    const { accepted } = this.manager.prepareStore(places.map(keyAt));
    for (const { slotId } of accepted) this.manager.completeStore(slotId, true);
    this.manager.storage.persist(
      places.map((place) => ({ key: keyAt(place), prefixHashes: hashes, lastBlock: place })),
    );
  }

  /** Which of the chunks the tab finds in storage. */
  get found(): number[] {
    const places = Array.from({ length: NUM_PLACES }, (_, place) => place);
    return places.filter((place) => this.manager.storage.lookup(keyAt(place)) === "stored");
  }

  get bytes(): number | null {
    return this.manager.storage.stats.bytes;
  }

  /** As a tab's end does: what it was about is done, or as if it had never been. */
  die(): void {
    this.executor.close();
  }
}

/** Until nobody has anything to do, or to hear of. */
export async function quiet(browser: FakeBrowser, tiers: readonly TabTier[]): Promise<void> {
  for (let round = 0; round < 4; round++) {
    for (const tier of tiers) {
      tier.step();
      await tier.executor.flush();
    }
    await browser.channels.idle();
  }
  for (const tier of tiers) tier.step();
}
