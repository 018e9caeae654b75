import type { KvKey } from "../../kv/chunk";
import type { PrefixHashes } from "../../kv/prefix-hashes";
import { assert } from "../../util/errors";
import type { HostManager } from "../host-manager";
import type { NeededChunk } from "../prefix-lookup";
import { chunkHeader } from "./chunk-header";
import type { ChunkHeader } from "./storage-api";
import type { SlotChunk, StorageOpId } from "./storage-op";

interface Promotion extends SlotChunk {
  /** Requests that wait for it. */
  readonly requestIds: Set<string>;
  /** Nobody is to find it: its slot comes free with its read. */
  isVoid: boolean;
}

/** What a request has had promoted, until it is released. */
interface Ask {
  readonly deadlineMs: number;
  readonly keys: Set<KvKey>;
  /** Slots that it pins, head first. */
  readonly slotIds: number[];
  /** Its deadline has passed: it waits for nothing and pins nothing. */
  isOver: boolean;
}

export interface PromotionsOptions {
  readonly host: HostManager;
  readonly numGroups: number;
  readonly blocksPerChunk: number;
  /** A clock in milliseconds. */
  readonly now: () => number;
  /** The chunk was read, or is gone. */
  readonly onChanged: (key: KvKey) => void;
  /** It could not be read. */
  readonly onFailed: (key: KvKey, requestIds: Iterable<string>) => void;
  /** So many chunks were read by one op, in a time that began with the op, or with the end of the read before. */
  readonly onRead: (numChunks: number, ms: number) => void;
}

interface Read {
  readonly promotions: readonly Promotion[];
  readonly startedMs: number;
}

/** Share of the host slots that promotions may hold. */
const MAX_HELD_SHARE = 0.5;

/**
 * Chunks on their way from storage to RAM, each once, however many requests wait for it:
 *
 *     queued                  reading                arrived
 *     | its slot is pending    | by one op            | idle, and pinned for each request that waits for it,
 *     | nobody waits: dropped  | runs to its end      | until that is admitted, leaves, or its deadline passes
 */
export class Promotions {
  readonly #options: PromotionsOptions;
  /** Queued or being read, and not void. */
  readonly #byKey = new Map<KvKey, Promotion>();
  /** In the order in which they were asked for. */
  readonly #queue = new Set<Promotion>();
  readonly #reads = new Map<StorageOpId, Read>();
  #lastReadMs = Number.NEGATIVE_INFINITY;
  readonly #asks = new Map<string, Ask>();
  numStarted = 0;
  numArrived = 0;
  numFailed = 0;

  constructor(options: PromotionsOptions) {
    this.#options = options;
  }

  get hasWork(): boolean {
    return this.numPending + this.numReaders > 0;
  }

  get numQueued(): number {
    return this.#queue.size;
  }

  get #reading(): Promotion[] {
    return [...this.#reads.values()].flatMap(({ promotions }) => promotions);
  }

  /** Slots that are to be read into. */
  get numPending(): number {
    return this.#reading.length + this.#queue.size;
  }

  /** Pins, over all requests. */
  get numReaders(): number {
    return [...this.#asks.values()].reduce((sum, { slotIds }) => sum + slotIds.length, 0);
  }

  get numHeldSlots(): number {
    const pinned = new Set([...this.#asks.values()].flatMap(({ slotIds }) => slotIds));
    return this.numPending + pinned.size;
  }

  get nextDeadlineMs(): number {
    const deadlines = [...this.#asks.values()].map(({ isOver, deadlineMs }) =>
      isOver ? Number.POSITIVE_INFINITY : deadlineMs,
    );
    return Math.min(...deadlines);
  }

  has(key: KvKey): boolean {
    return this.#byKey.has(key);
  }

  isAskedBy(requestId: string, key: KvKey): boolean {
    return this.#asks.get(requestId)?.keys.has(key) ?? false;
  }

  /** Chunks that can be promoted now, where a request needs `keys`. */
  room(keys: ReadonlySet<KvKey>): number {
    const { host, numGroups } = this.#options;
    const maxHeld = Math.max(numGroups, Math.floor(MAX_HELD_SHARE * host.stats.numSlots));
    return Math.max(0, Math.min(maxHeld - this.numHeldSlots, host.numSlotsBeside(keys)));
  }

  /** Of what a request needs, head first: "stored" chunks are set on their way, and those on their way are its own too. */
  ask(requestId: string, prefixHashes: PrefixHashes, chunks: readonly NeededChunk[], deadlineMs: number): void {
    const { host } = this.#options;
    // Those in RAM are named too, so that they keep their slots.
    const named = chunks.filter(({ state }) => state === "stored" || state === "hit").map(({ key }) => key);
    const slots = new Map(host.prepareStore(named, false).accepted.map(({ key, slotId }) => [key, slotId]));
    for (const { key, lastBlock, state } of chunks) {
      const slotId = slots.get(key);
      if (slotId !== undefined) {
        this.#add({ key, slotId, header: chunkHeader(prefixHashes, lastBlock, this.#options.blocksPerChunk) });
      }
      const promotion = this.#byKey.get(key);
      if (promotion) this.#join(requestId, promotion, deadlineMs);
      // There is less memory than was thought.
      else if (state === "stored") this.#options.onChanged(key);
    }
  }

  #add(chunk: { key: KvKey; slotId: number; header: ChunkHeader }): void {
    const promotion = { ...chunk, requestIds: new Set<string>(), isVoid: false };
    this.#byKey.set(chunk.key, promotion);
    this.#queue.add(promotion);
    this.numStarted += 1;
  }

  #join(requestId: string, promotion: Promotion, deadlineMs: number): void {
    let ask = this.#asks.get(requestId);
    if (!ask) {
      ask = { deadlineMs, keys: new Set(), slotIds: [], isOver: false };
      this.#asks.set(requestId, ask);
    }
    ask.keys.add(promotion.key);
    promotion.requestIds.add(requestId);
  }

  /** The next chunks that are to be read, in one op. */
  startRead(opId: StorageOpId, maxChunks: number): readonly SlotChunk[] {
    const promotions = [...this.#queue].slice(0, maxChunks);
    for (const promotion of promotions) this.#queue.delete(promotion);
    this.#reads.set(opId, { promotions, startedMs: this.#options.now() });
    return promotions.map(({ key, header, slotId }) => ({ key, header, slotId }));
  }

  complete(opId: StorageOpId, arrived: readonly boolean[]): void {
    const read = this.#reads.get(opId);
    assert(read?.promotions.length === arrived.length, () => `read ${opId} has a result, but is not under way`);
    this.#reads.delete(opId);
    const nowMs = this.#options.now();
    const numArrived = arrived.filter(Boolean).length;
    if (numArrived > 0) this.#options.onRead(numArrived, nowMs - Math.max(read.startedMs, this.#lastReadMs));
    this.#lastReadMs = nowMs;
    read.promotions.forEach((promotion, i) => {
      this.#end(promotion, arrived[i]);
    });
  }

  #end(promotion: Promotion, hasArrived: boolean): void {
    const { key, slotId, requestIds, isVoid } = promotion;
    const { host, onChanged, onFailed } = this.#options;
    host.completeStore(slotId, hasArrived && !isVoid);
    if (isVoid) return;
    this.#byKey.delete(key);
    if (hasArrived) {
      this.numArrived += 1;
      for (const requestId of requestIds) this.#asks.get(requestId)!.slotIds.push(...host.prepareLoad([key]));
    } else {
      this.numFailed += 1;
      onFailed(key, requestIds);
    }
    onChanged(key);
  }

  release(requestId: string): void {
    const ask = this.#asks.get(requestId);
    if (ask) this.#endAsk(requestId, ask);
    this.#asks.delete(requestId);
  }

  endOverdue(): void {
    const nowMs = this.#options.now();
    for (const [requestId, ask] of this.#asks) if (ask.deadlineMs <= nowMs) this.#endAsk(requestId, ask);
  }

  #endAsk(requestId: string, ask: Ask): void {
    if (ask.isOver) return;
    ask.isOver = true;
    for (const key of ask.keys) {
      const promotion = this.#byKey.get(key);
      promotion?.requestIds.delete(requestId);
      if (promotion?.requestIds.size === 0 && this.#queue.has(promotion)) this.#drop(promotion);
    }
    this.#options.host.completeLoad(ask.slotIds.splice(0));
  }

  /** Gives a chunk up that nobody reads yet. */
  #drop(promotion: Promotion): void {
    this.#queue.delete(promotion);
    this.#byKey.delete(promotion.key);
    this.#options.host.completeStore(promotion.slotId, false);
    this.#options.onChanged(promotion.key);
  }

  /** Storage is gone: what is not being read yet cannot be read. */
  failQueued(): void {
    for (const promotion of [...this.#queue]) {
      this.#queue.delete(promotion);
      this.#end(promotion, false);
    }
  }

  /** Nobody is to find these, whatever their reads bring. */
  discard(keys: readonly KvKey[]): void {
    for (const key of keys) {
      const promotion = this.#byKey.get(key);
      if (!promotion) continue;
      this.#options.host.discard([key]);
      this.#void(promotion);
    }
  }

  /** As `discard`, for all. */
  discardAll(): void {
    this.discard([...this.#byKey.keys()]);
  }

  /** The host tier has forgotten all. */
  forgetAll(): void {
    for (const promotion of [...this.#byKey.values()]) this.#void(promotion);
    for (const { slotIds } of this.#asks.values()) this.#options.host.completeLoad(slotIds.splice(0));
  }

  #void(promotion: Promotion): void {
    if (this.#queue.has(promotion)) {
      this.#drop(promotion);
      return;
    }
    promotion.isVoid = true;
    promotion.requestIds.clear();
    this.#byKey.delete(promotion.key);
    this.#options.onChanged(promotion.key);
  }

  /** Throws `internal` unless every promotion is queued or read, with its slot, and known to those who wait for it. */
  checkIntegrity(): void {
    const reading = this.#reading;
    const live = [...this.#queue, ...reading].filter(({ isVoid }) => !isVoid);
    assert(
      live.length === this.#byKey.size,
      () => `${live.length} promotions are under way, ${this.#byKey.size} known`,
    );
    for (const promotion of live) {
      const { key, slotId, requestIds } = promotion;
      const isKnown = this.#byKey.get(key) === promotion && this.#options.host.slotIdOf(key) === slotId;
      assert(isKnown, () => `the promotion of ${key} to slot ${slotId} is lost`);
      const isWanted = requestIds.size > 0 || !this.#queue.has(promotion);
      assert(isWanted, () => `chunk ${key} is to be read, but nobody waits for it`);
      for (const requestId of requestIds) {
        const ask = this.#asks.get(requestId);
        assert(ask && !ask.isOver && ask.keys.has(key), () => `request ${requestId} does not know of chunk ${key}`);
      }
    }
  }
}
