import type { EngineConfig } from "../protocol/engine-config";
import type { StoreMoment } from "./connector";
import { StoreCursors } from "./store-cursors";

/** Chunk `chunk` of a request in one KV cache group. */
export interface ChunkRef {
  readonly group: number;
  readonly chunk: number;
}

/** A request whose chunks are offered. */
export interface StorableRequest {
  readonly requestId: string;
  readonly numGroups: number;
  /** Full chunks whose KV exists and whose ids are known, in every group. Some may have left a window. */
  readonly numChunks: number;
}

/**
 * "accepted": a store is planned. "present": a tier has it, or is getting it. "gone": it left its window. "refused": no
 * room now, or not seen often enough.
 */
export type OfferOutcome = "accepted" | "present" | "gone" | "refused";

/**
 * Decides which chunks are stored, and when they are offered. It knows neither the scheduler nor the tiers: it sees what there
 * is, names chunks, and hears what became of each.
 */
export interface OffloadPolicy {
  /** Chunks in the prefix cache that nobody holds are offered when they are about to be handed out. */
  readonly storesEvicted: boolean;

  /** Before the `select`s of a step. */
  beginStep(): void;

  /** Chunks to offer now, in order. `storeEpoch` differs from an earlier one when refused chunks may fare better. */
  select(moment: StoreMoment, request: StorableRequest, storeEpoch: number): readonly ChunkRef[];

  /** Comes once for every chunk that was selected, in the same order, before the next `select`. */
  settle(requestId: string, chunk: ChunkRef, outcome: OfferOutcome, storeEpoch: number): void;

  /** A store that was accepted failed. The request is still here. */
  putBack(requestId: string, chunk: ChunkRef): void;

  /** The request is gone. */
  forget(requestId: string): void;
}

/** Offers every chunk of a request once, at the first of these moments at which it exists; refused ones again. */
export class CursorPolicy implements OffloadPolicy {
  readonly storesEvicted = false;
  readonly #moments: ReadonlySet<StoreMoment>;
  readonly #cursors = new StoreCursors();

  constructor(moments: Iterable<StoreMoment>) {
    this.#moments = new Set(moments);
  }

  beginStep(): void {
    this.#cursors.beginStep();
  }

  select(moment: StoreMoment, request: StorableRequest, storeEpoch: number): readonly ChunkRef[] {
    return this.#moments.has(moment) ? this.#cursors.advance(request, storeEpoch) : [];
  }

  settle(requestId: string, chunk: ChunkRef, outcome: OfferOutcome, storeEpoch: number): void {
    if (outcome === "refused") this.#cursors.refuse(requestId, chunk, storeEpoch);
  }

  putBack(requestId: string, chunk: ChunkRef): void {
    this.#cursors.refuse(requestId, chunk, null);
  }

  forget(requestId: string): void {
    this.#cursors.forget(requestId);
  }
}

/** Offers nothing while requests run; what leaves the prefix cache is offered at the last moment. */
export class EvictPolicy implements OffloadPolicy {
  readonly storesEvicted = true;
  beginStep(): void {}
  select(): readonly ChunkRef[] {
    return [];
  }
  settle(): void {}
  putBack(): void {}
  forget(): void {}
}

export type OffloadPolicyName = EngineConfig["offloadPolicy"];

export const OFFLOAD_POLICIES: readonly OffloadPolicyName[] = [
  "storeOnCompute",
  "storeOnEvict",
  "storeOnPreempt",
  "storeOnFinish",
];

export function makeOffloadPolicy(name: OffloadPolicyName): OffloadPolicy {
  switch (name) {
    case "storeOnCompute":
      // Preemption and finish come with chunks that no step has offered: their last ids were not known before.
      return new CursorPolicy(["compute", "preempt", "finish"]);
    case "storeOnEvict":
      return new EvictPolicy();
    case "storeOnPreempt":
      return new CursorPolicy(["preempt"]);
    case "storeOnFinish":
      return new CursorPolicy(["finish"]);
  }
}
