export type RefusalReason = "noSlot" | "unseen";

/** Tells those whose store was refused when another try may fare better. It stays while nobody was refused, for then nobody asks. */
export class StoreEpoch {
  /** Chunks that were refused, in all epochs. */
  readonly numRefused: Record<RefusalReason, number> = { noSlot: 0, unseen: 0 };
  /** In this epoch. */
  readonly #reasons = new Set<RefusalReason>();
  #value = 0;

  get value(): number {
    return this.#value;
  }

  refuse(reason: RefusalReason, numChunks: number): void {
    if (numChunks === 0) return;
    this.numRefused[reason] += numChunks;
    this.#reasons.add(reason);
  }

  /** What was refused for this reason may be accepted now. All that was refused is tried again, so one change does for all. */
  improve(reason: RefusalReason): void {
    if (!this.#reasons.has(reason)) return;
    this.#reasons.clear();
    this.#value += 1;
  }
}
