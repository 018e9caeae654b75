import type { KvGeometry } from "../kv/geometry";
import type { HostManager } from "../offload/host-manager";
import { ScriptedExecutor } from "../offload/storage/scripted-executor.fixture";
import { TieredManager } from "../offload/storage/tiered-manager";
import type { StorageStats } from "../offload/storage-tier";
import { assert } from "../util/errors";
import type { ShadowTransfers } from "./shadow-transfers.fixture";
import type { StorageEvents } from "./storage-events.property.fixture";
import type { StorageRunSetup } from "./storage-run.property.fixture";

/** Ops of so many bytes at most; a chunk here is as large as it takes for `chunksPerOp` of them to fill one. */
const MAX_OP_BYTES = 8 * 2 ** 20;

/**
 * The storage tier of a random run: its manager over a store whose ops end when their fates say so. Checked all the time: that
 * promotions hold no more slots than they may, that nothing is written for requests which want that not, and (by the
 * shadows) what goes to storage and comes from there.
 */
export class StoragePlayer {
  readonly manager: TieredManager;
  readonly #setup: StorageRunSetup;
  readonly #events: StorageEvents;
  readonly #host: HostManager;
  readonly #executor: ScriptedExecutor<readonly Int32Array[]>;
  readonly #maxHeldSlots: number;
  /** Chunks of requests that let them be written. */
  readonly #persistable = new Set<string>();
  readonly #dueTurns = new Map<number, number>();
  readonly #opensAt: number[];
  #stats: StorageStats;
  #hasRead = false;
  #numOps = 0;
  #numReadsOf = 0;

  constructor(
    host: HostManager,
    transfers: ShadowTransfers,
    geometry: KvGeometry,
    setup: StorageRunSetup,
    events: StorageEvents,
    now: () => number,
  ) {
    const { maxReads, maxChunksInFlight, chunksPerOp, maxQueueChunks } = setup;
    const chunkBytes = Math.floor(MAX_OP_BYTES / chunksPerOp);
    const numGroups = geometry.groups.length;
    this.#setup = setup;
    this.#events = events;
    this.#host = host;
    this.#maxHeldSlots = Math.max(numGroups, Math.floor(host.stats.numSlots / 2));
    this.#opensAt = [setup.openTurn];
    this.#executor = new ScriptedExecutor(transfers, { chunkBytes, maxReads, maxChunksInFlight });
    this.#executor.canClear = setup.canClear;
    const { blocksPerChunk } = geometry;
    const maxQueueBytes = maxQueueChunks * chunkBytes;
    const executor = this.#executor;
    this.manager = new TieredManager({ host, executor, numGroups, blocksPerChunk, chunkBytes, now, maxQueueBytes });
    this.#stats = this.manager.storage.stats;
  }

  get isReading(): boolean {
    return this.#executor.ops.some(({ kind }) => kind === "read");
  }

  get #isWriting(): boolean {
    return this.#executor.ops.some(({ kind }) => kind === "write");
  }

  learn(keys: readonly string[]): void {
    for (const key of keys) this.#persistable.add(key);
  }

  /** Room is made in RAM for chunks that then do not come. */
  evict(): void {
    const numSlots = this.#host.stats.numFreeSlots + this.#setup.numEvictedAtReset;
    const others = Array.from({ length: numSlots }, (_, i) => `other ${i}`);
    for (const { slotId } of this.#host.prepareStore(others, false).accepted) this.#host.completeStore(slotId, false);
  }

  /** What happens to storage before a turn. */
  happen(turn: number, clearTiers: (tier: "host" | "storage") => void, loseDevice: () => void): void {
    const { restarts, readOnlyTurns, clearTurns, hostClearTurns, whenReading } = this.#setup;
    const executor = this.#executor;
    const isFirstRead = this.isReading && !this.#hasRead;
    this.#hasRead ||= this.isReading;
    if (isFirstRead && whenReading === "loseDevice") loseDevice();
    if (isFirstRead && whenReading === "off") this.#stop(turn, null);
    if (this.#opensAt.includes(turn)) {
      if (executor.records.size > 0) this.#events.count("storage opens again");
      executor.open();
    }
    for (const { numTurns } of restarts.filter((restart) => restart.turn === turn && executor.state !== "off")) {
      this.#stop(turn, numTurns);
    }
    if (readOnlyTurns.includes(turn) && executor.state === "ready") {
      this.#events.count("storage is full");
      executor.setState("readOnly", "quota");
    }
    if (clearTurns.includes(turn) || (isFirstRead && whenReading === "clear")) {
      if (this.isReading) this.#events.count("a clear of storage with a read under way");
      if (this.#isWriting) this.#events.count("a clear of storage with a write under way");
      clearTiers("storage");
    }
    if (hostClearTurns.includes(turn) || (isFirstRead && whenReading === "clearRam")) {
      if (this.isReading) this.#events.count("a clear of RAM with a read under way");
      clearTiers("host");
    }
  }

  /** It opens again so many turns later; null: never. */
  #stop(turn: number, numTurns: number | null): void {
    if (numTurns === null && this.isReading) this.#events.count("storage is off with a read under way");
    this.#dueTurns.clear();
    this.#executor.stop(numTurns === null ? "off" : "starting");
    if (numTurns === null) this.#opensAt.length = 0;
    else this.#opensAt.push(turn + 1 + numTurns);
  }

  settle(): void {
    this.manager.storage.settle();
  }

  pump(turn: number): void {
    this.manager.storage.pump();
    this.#countStats();
    for (const { opId, kind } of this.#executor.ops) {
      if (this.#dueTurns.has(opId)) continue;
      const { fates, minReadDelay } = this.#setup;
      const { delay } = fates[this.#numOps++ % fates.length];
      const atLeast = kind === "read" ? minReadDelay : 0;
      this.#dueTurns.set(opId, delay === null ? Number.POSITIVE_INFINITY : turn + Math.max(delay, atLeast));
      if (kind === "write") this.#events.count("a write");
    }
  }

  #countStats(): void {
    const before = this.#stats;
    const after = this.manager.storage.stats;
    this.#stats = after;
    this.#events.count("a promotion", after.numPromotions - before.numPromotions);
    this.#events.count("a promotion that fails", after.numPromotionsFailed - before.numPromotionsFailed);
    if (after.numCutForRoom > before.numCutForRoom) this.#events.count("a hit is cut for want of room in RAM");
    if (after.numCascadeDropped > before.numCascadeDropped) this.#events.count("a queued chunk is lost");
  }

  endDue(turn: number): boolean {
    const due = [...this.#dueTurns].filter(([, dueTurn]) => dueTurn <= turn);
    for (const [opId] of due) this.#end(opId);
    return due.length > 0;
  }

  #end(opId: number): void {
    const { fates } = this.#setup;
    const { succeeds, badEvery } = fates[opId % fates.length];
    const op = this.#executor.ops.find((each) => each.opId === opId)!;
    this.#dueTurns.delete(opId);
    this.#executor.isGood = () => badEvery === 0 || ++this.#numReadsOf % badEvery !== 0;
    if (op.kind === "write") {
      if (!succeeds) this.#events.count("a write that fails");
      const isEvicted = op.chunks.some(({ key, slotId }) => this.#host.slotIdOf(key) !== slotId);
      if (isEvicted) this.#events.count("a chunk is evicted from RAM while it is written");
    }
    if (op.kind === "clear" && !this.#setup.canClear) this.#events.count("a clear in vain");
    this.#executor.end(opId, succeeds || op.kind === "clear");
  }

  /** Everything ends; a store that was never opened is. */
  drain(): void {
    if (this.#executor.state === "starting") this.#executor.open();
    for (const { opId } of this.#executor.ops) this.#end(opId);
  }

  check(): void {
    const { numHeldSlots } = this.manager.storage.stats;
    assert(numHeldSlots <= this.#maxHeldSlots, () => `promotions hold ${numHeldSlots} of ${this.#maxHeldSlots} slots`);
    const written = this.#executor.ops.flatMap((op) => (op.kind === "write" ? op.chunks.map(({ key }) => key) : []));
    const isPrivate = written.find((key) => !this.#persistable.has(key));
    assert(isPrivate === undefined, () => `chunk ${isPrivate} is written, but is nobody's who lets it`);
  }

  checkEnd(): void {
    const { numHeldSlots, bytesNotDurable } = this.manager.storage.stats;
    assert(numHeldSlots + bytesNotDurable === 0, () => `${numHeldSlots} slots and ${bytesNotDurable} bytes are left`);
  }
}
