import { type KvKey, kvKey } from "../kv/chunk";
import type { KvGeometry } from "../kv/geometry";
import { numStorableTokens } from "../kv/store-boundary";
import type { BlockAt, ConnectorRequest, EvictedChunk, StoreMoment } from "./connector";
import type { OffloadManager } from "./offload-manager";
import type { ChunkRef, OffloadPolicy } from "./offload-policy";
import type { Stores } from "./stores";

export interface OffersOptions {
  readonly geometry: KvGeometry;
  readonly manager: OffloadManager;
  readonly policy: OffloadPolicy;
  readonly stores: Stores;
}

/** From what a policy selects to stores: what exists, what a tier has already, and what there is room for. */
export class Offers {
  readonly #options: OffersOptions;

  constructor(options: OffersOptions) {
    this.#options = options;
  }

  /** See Connector. */
  offer(moment: StoreMoment, request: ConnectorRequest, blockAt: BlockAt, epoch: number): void {
    const { requestId, prefixHashes, store } = request;
    if (prefixHashes === null || store === "none") return;
    const { geometry, policy } = this.#options;
    const { blockSize, blocksPerChunk, groups } = geometry;
    const numChunks = Math.floor(numStorableTokens(request) / (blockSize * blocksPerChunk));
    const storable = { requestId, numGroups: groups.length, numChunks };
    const offered = policy.select(moment, storable, this.#storeEpoch).map((chunk) => {
      const lastBlock = (chunk.chunk + 1) * blocksPerChunk - 1;
      const key = kvKey(chunk.group, prefixHashes.at(lastBlock));
      return { chunk, key, blockIds: this.#heldBlocks(chunk, blockAt), prefixHashes, lastBlock };
    });
    const held = offered.flatMap(({ key, blockIds }) => (blockIds ? [key] : []));
    const { slots, refused } = this.#prepareStore(held);
    for (const { chunk, key, blockIds } of offered) {
      const slotId = slots.get(key);
      const outcome = !blockIds ? "gone" : refused.has(key) ? "refused" : slotId === undefined ? "present" : "accepted";
      if (slotId !== undefined && blockIds) {
        this.#options.stores.plan({ key, blockIds, owner: { requestId, chunk } }, slotId, epoch);
        slots.delete(key);
      }
      policy.settle(requestId, chunk, outcome, this.#storeEpoch);
    }
    if (store === "all") this.#options.manager.storage?.persist(offered);
  }

  offerEvicted(chunks: readonly EvictedChunk[], epoch: number): void {
    if (!this.#options.policy.storesEvicted || chunks.length === 0) return;
    const { manager } = this.#options;
    const dirty = chunks.filter(({ key, store }) => store !== "none" && this.#isDirty(key));
    const now = dirty.slice(0, this.#options.stores.roomInStep);
    this.#options.stores.numWithoutRoom += dirty.length - now.length;
    const slots = new Map(
      manager.prepareStore(now.map(({ key }) => key)).accepted.map((slot) => [slot.key, slot.slotId]),
    );
    for (const { key, blockIds } of now) {
      const slotId = slots.get(key);
      if (slotId !== undefined) this.#options.stores.plan({ key, blockIds, owner: null }, slotId, epoch);
    }
    manager.storage?.persist(chunks.filter(({ store }) => store === "all"));
  }

  /** No tier is known to have it. */
  #isDirty(key: KvKey): boolean {
    const state = this.#options.manager.lookup(key);
    return state === "miss" || state === "retry";
  }

  /** Changes when an offer that was refused may be accepted. */
  get #storeEpoch(): number {
    return this.#options.manager.storeEpoch + this.#options.stores.numRoomsMade;
  }

  /** What is not present gets a slot, as far as there is room for its store; the rest is refused. */
  #prepareStore(keys: readonly KvKey[]): { slots: Map<KvKey, number>; refused: ReadonlySet<KvKey> } {
    const { manager } = this.#options;
    const missing = keys.filter((key) => this.#isDirty(key));
    const tooMany = new Set(missing.slice(this.#options.stores.room));
    this.#options.stores.numWithoutRoom += tooMany.size;
    const { accepted, refused } = manager.prepareStore(keys.filter((key) => !tooMany.has(key)));
    const slots = new Map(accepted.map(({ key, slotId }) => [key, slotId]));
    return { slots, refused: new Set([...tooMany, ...refused]) };
  }

  #heldBlocks({ group, chunk }: ChunkRef, blockAt: BlockAt): readonly number[] | null {
    const { blocksPerChunk } = this.#options.geometry;
    const blockIds = Array.from({ length: blocksPerChunk }, (_, i) => blockAt(group, chunk * blocksPerChunk + i));
    return blockIds.every((blockId) => blockId !== null) ? blockIds : null;
  }
}
