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

/** By cache type: with f32 all is f32; with f16, matmul tiles are f16 too where the device can. */
export const GOLDEN_BOUNDS: Readonly<Record<"f32" | "f16", GoldenBounds>> = {
  f32: { gap: 1e-3, logit: 1e-3 },
  f16: { gap: 5e-2, logit: 3e-2 },
};

export interface GoldenMode {
  /** Longest prefill chunk. */
  readonly chunk: number | null;
  /** Requests at once. */
  readonly concurrency: number;
  readonly maxInFlightSteps: number;
  /** Each prompt's KV is in the prefix cache when its case begins; else no request uses the prefix cache. */
  readonly cached: boolean;
}

const ALL_MODES: readonly GoldenMode[] = [
  { chunk: null, concurrency: 1, maxInFlightSteps: 1, cached: false },
  { chunk: 7, concurrency: 4, maxInFlightSteps: 2, cached: false },
  { chunk: 16, concurrency: 4, maxInFlightSteps: 2, cached: false },
  { chunk: null, concurrency: 4, maxInFlightSteps: 2, cached: false },
  { chunk: null, concurrency: 4, maxInFlightSteps: 2, cached: true },
];

/** Modes with one of the two KV types; `npm run soak` takes the whole product. */
export const GOLDEN_MODES: Readonly<Record<"f32" | "f16", readonly GoldenMode[]>> = process.env.CAIRN_SOAK
  ? { f32: ALL_MODES, f16: ALL_MODES }
  : { f32: ALL_MODES.slice(0, 2), f16: ALL_MODES.slice(3) };

/** One request after the other, in whole prompts. */
export const [SINGLE_MODE] = ALL_MODES;
