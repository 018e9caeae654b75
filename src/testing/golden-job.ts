/** What a golden case needs to be checked anywhere; plain data, so that it can be sent to a page. */
export interface GoldenJob {
  readonly name: string;
  readonly promptIds: readonly number[];
  readonly greedyIds: readonly number[];
  readonly topLogits: readonly (readonly [tokenId: number, logit: number])[];
  readonly stepGaps: readonly number[];
}

export interface GoldenBounds {
  /** Steps with a smaller gap between the two best logits may come out otherwise. */
  readonly gap: number;
  /** Largest error of a logit. */
  readonly logit: number;
}

/** DESIGN: `exact` is all f32; the other has f16 KV and, where the device can, f16 tiles. */
export const GOLDEN_BOUNDS: Readonly<Record<"f32" | "f16", GoldenBounds>> = {
  f32: { gap: 1e-3, logit: 1e-3 },
  f16: { gap: 5e-2, logit: 3e-2 },
};
