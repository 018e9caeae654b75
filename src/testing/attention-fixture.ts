import { NO_WINDOW } from "../kernels/kv-layer";
import { attention } from "../kernels/reference/attention";
import { type PackedStep, singleTokensFirst } from "../runner/step-buffer";
import { type KernelTestContext, withNaN } from "./kernel-case";
import { PagedKv, type PagedKvShape, randomKv } from "./paged-kv";
import { Random } from "./random";
import { TEST_STEP_SIZES, testStep, uploadStep } from "./test-step";

/** The tokens of one request in the batch: positions [start, start + numTokens). */
export interface AttentionRequest {
  readonly start: number;
  readonly numTokens: number;
}

export interface AttentionRun extends PagedKvShape {
  readonly numHeads: number;
  /** Null in full attention. */
  readonly window: number | null;
  readonly requests: readonly AttentionRequest[];
  /** Standard deviation of the queries; large ones make the softmax pick single keys. */
  readonly query?: number;
}

/** Where a request's visible keys begin: at the window of its first token. */
const firstVisible = (start: number, window: number | null) => Math.max(0, start + 1 - (window ?? NO_WINDOW));

export interface AttentionBatch {
  readonly step: PackedStep;
  readonly kv: PagedKv;
  /** [tokens, heads, head dim] */
  readonly q: Float32Array<ArrayBuffer>;
  /** As `q`, of every token, decoded or prefilled. */
  readonly expected: readonly number[];
}

/** A batch whose request i has row 7 - i. Nothing but the keys that some token of it sees is in the cache. */
export function makeAttentionBatch(run: AttentionRun, prefillTileTokens: number): AttentionBatch {
  const { window, numHeads, headDim } = run;
  const requests = singleTokensFirst(run.requests);
  const random = new Random(requests.length + headDim + numHeads);
  const rowOf = (request: number) => TEST_STEP_SIZES.maxRows - 1 - request;
  const kv = new PagedKv(
    run,
    requests.map(({ start, numTokens }, i) => {
      return { row: rowOf(i), firstPosition: firstVisible(start, window), endPosition: start + numTokens };
    }),
  );
  const q: number[] = [];
  const expected: number[] = [];
  requests.forEach(({ start, numTokens }, i) => {
    const k: Float32Array[] = [];
    const v: Float32Array[] = [];
    for (let position = firstVisible(start, window); position < start + numTokens; position++) {
      k[position] = randomKv(random, run);
      v[position] = randomKv(random, run);
      kv.set(rowOf(i), position, "k", k[position]);
      kv.set(rowOf(i), position, "v", v[position]);
    }
    for (let t = 0; t < numTokens; t++) {
      const row = random.normalArray(numHeads * headDim, run.query ?? 2 / Math.sqrt(headDim));
      q.push(...row);
      expected.push(...attention({ ...run, q: row, k, v, position: start + t, scale: 1 }));
    }
  });
  const sizes = { ...TEST_STEP_SIZES, prefillTileTokens };
  const step = testStep(
    requests.map(({ start, numTokens }, i) => ({ row: rowOf(i), startPosition: start, numTokens })),
    sizes,
  );
  return { step, kv, q: Float32Array.from(q), expected };
}

/** The batch on the GPU; `out` has the rows of `q` and one more. */
export function uploadAttentionBatch(ctx: KernelTestContext, { step, kv, q }: AttentionBatch) {
  const rowElements = q.length / step.shape.numTokens;
  return {
    step: uploadStep(ctx, step),
    q: ctx.upload("q", withNaN(q.length + rowElements, q)),
    block_tables: ctx.upload("block_tables", kv.blockTables),
    kv: ctx.upload("kv", kv.words),
    out: ctx.empty("out", (q.length + rowElements) * 4),
  };
}
