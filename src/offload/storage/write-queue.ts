import type { ChunkOfPrefix, KvKey } from "../../kv/chunk";
import { assert } from "../../util/errors";
import type { StorageOpId } from "./storage-op";

/** A chunk that waits, and the host slot that has it. */
export interface QueuedChunk extends ChunkOfPrefix {
  readonly slotId: number;
}

/**
 * Chunks on their way from RAM to storage:
 *
 *     expected               waiting                 in flight          result
 *     | its host slot is      | readable; may leave   | copied, so RAM    | durable, or not
 *     | still being written   | RAM: then it is lost  | may lose it       |
 */
export class WriteQueue {
  readonly #maxWaiting: number;
  /** By host slot. */
  readonly #expected = new Map<number, ChunkOfPrefix>();
  /** Oldest first. */
  readonly #waiting = new Map<KvKey, ChunkOfPrefix>();
  readonly #inFlight = new Map<StorageOpId, { readonly keys: ReadonlySet<KvKey>; isVoid: boolean }>();
  numDropped = 0;

  /** `maxWaiting`: chunks; of more, the oldest are dropped. */
  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  get numWaiting(): number {
    return this.#waiting.size;
  }

  get numOps(): number {
    return this.#inFlight.size;
  }

  get numInFlight(): number {
    let numInFlight = 0;
    for (const { keys } of this.#inFlight.values()) numInFlight += keys.size;
    return numInFlight;
  }

  isInFlight(key: KvKey): boolean {
    return [...this.#inFlight.values()].some(({ keys, isVoid }) => !isVoid && keys.has(key));
  }

  /** It is to be written when the slot's store has succeeded. */
  expect(slotId: number, chunk: ChunkOfPrefix): void {
    this.#expected.set(slotId, chunk);
  }

  /** The slot's store has ended; the chunk that was expected from it. */
  takeExpected(slotId: number): ChunkOfPrefix | null {
    const chunk = this.#expected.get(slotId) ?? null;
    this.#expected.delete(slotId);
    return chunk;
  }

  add({ key, prefixHashes, lastBlock }: ChunkOfPrefix): void {
    this.#waiting.set(key, { key, prefixHashes, lastBlock });
    for (const oldest of this.#waiting.keys()) {
      if (this.#waiting.size <= this.#maxWaiting) break;
      this.#waiting.delete(oldest);
      this.numDropped += 1;
    }
  }

  /** The oldest that are still readable, with their slots; what left RAM is dropped. */
  take(maxChunks: number, readableSlot: (key: KvKey) => number | null): QueuedChunk[] {
    const taken: QueuedChunk[] = [];
    for (const [key, chunk] of this.#waiting) {
      if (taken.length === maxChunks) break;
      this.#waiting.delete(key);
      const slotId = readableSlot(key);
      if (slotId === null) this.numDropped += 1;
      else taken.push({ ...chunk, slotId });
    }
    return taken;
  }

  submitted(opId: StorageOpId, keys: readonly KvKey[]): void {
    this.#inFlight.set(opId, { keys: new Set(keys), isVoid: false });
  }

  /** The op has ended. False where it was void by then. */
  complete(opId: StorageOpId, written: readonly KvKey[]): boolean {
    const op = this.#inFlight.get(opId);
    assert(op, () => `write ${opId} has a result, but is not under way`);
    this.#inFlight.delete(opId);
    if (op.isVoid) return false;
    this.numDropped += op.keys.size - new Set(written).size;
    return true;
  }

  /** These are not to be believed. */
  discard(keys: readonly KvKey[]): void {
    const discarded = new Set(keys);
    for (const [slotId, { key }] of this.#expected) if (discarded.has(key)) this.#expected.delete(slotId);
    for (const key of keys) this.#waiting.delete(key);
  }

  /** Storage takes nothing any more: what waits is lost. */
  drop(): void {
    this.numDropped += this.#waiting.size;
    this.#waiting.clear();
    this.#expected.clear();
  }

  /** Storage is cleared: nothing of before goes there. */
  clear(): void {
    this.#expected.clear();
    this.#waiting.clear();
    for (const op of this.#inFlight.values()) op.isVoid = true;
  }

  /** Throws `internal` unless no more is expected than there are stores into RAM, and no more waits than may. */
  checkIntegrity(numStores: number): void {
    const numExpected = this.#expected.size;
    assert(numExpected <= numStores, () => `${numExpected} chunks are expected of ${numStores} stores`);
    assert(this.#waiting.size <= this.#maxWaiting, () => `${this.#waiting.size} of ${this.#maxWaiting} chunks wait`);
  }
}
