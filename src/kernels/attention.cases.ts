import {
  type AttentionBatch,
  type AttentionRequest,
  type AttentionRun,
  makeAttentionBatch,
  uploadAttentionBatch,
} from "../testing/attention-fixture";
import { assertClose, assertUntouched } from "../testing/kernel-asserts";
import { inNodeOnly, type KernelCase, type KernelTestContext } from "../testing/kernel-case";
import {
  attentionDecode,
  attentionDecodeGrid,
  attentionDecodeVariant,
  attentionReduce,
  attentionReduceVariant,
  numSplits,
  packAttentionDecodeParams,
  packAttentionReduceParams,
} from "./attention-decode";
import {
  attentionPrefill,
  attentionPrefillGrid,
  attentionPrefillVariant,
  packAttentionPrefillParams,
  prefillTileTokens,
} from "./attention-prefill";
import { NO_WINDOW } from "./kv-layer";

type AttentionBuffers = ReturnType<typeof uploadAttentionBatch>;
type AttentionShape = Omit<AttentionRun, "window" | "requests" | "query">;

/** The partial results have room for one split more than any query needs, and the grid asks for it too. */
async function decode(ctx: KernelTestContext, run: AttentionRun, batch: AttentionBatch, buffers: AttentionBuffers) {
  const { numHeads, headDim, requests } = run;
  const window = run.window ?? NO_WINDOW;
  const queries = requests.filter(({ numTokens }) => numTokens === 1);
  const maxSplits = 1 + Math.max(...queries.map(({ start }) => numSplits(start, window)));
  const numPartials = queries.length * numHeads * maxSplits;
  const { step, q, block_tables, kv, out } = buffers;
  const partials = {
    partial_out: ctx.empty("partial_out", numPartials * headDim * 4),
    partial_stats: ctx.empty("partial_stats", numPartials * 8),
  };
  const [split, reduce] = await Promise.all([
    ctx.pipelines.get(attentionDecode, attentionDecodeVariant(run)),
    ctx.pipelines.get(attentionReduce, attentionReduceVariant(headDim)),
  ]);
  const params = { numHeads, window, maxSplits };
  const splitParams = ctx.buffers.uniform("params", packAttentionDecodeParams({ ...params, layer: batch.kv.layer }));
  const splitGroup = split.bind("split", { params: splitParams, step, q, block_tables, kv, ...partials });
  const reduceParams = ctx.buffers.uniform("params", packAttentionReduceParams(params));
  const reduceGroup = reduce.bind("reduce", { params: reduceParams, step, ...partials, out });
  ctx.dispatch(split, splitGroup, attentionDecodeGrid(run, maxSplits, queries.length));
  ctx.dispatch(reduce, reduceGroup, [numHeads, queries.length]);
}

async function prefill(ctx: KernelTestContext, run: AttentionRun, batch: AttentionBatch, buffers: AttentionBuffers) {
  const { numHeads, window } = run;
  const pipeline = await ctx.pipelines.get(attentionPrefill, attentionPrefillVariant(ctx.variant, run));
  const params = packAttentionPrefillParams({ layer: batch.kv.layer, numHeads, window: window ?? NO_WINDOW });
  const bindGroup = pipeline.bind("prefill", { params: ctx.buffers.uniform("params", params), ...buffers });
  ctx.dispatch(pipeline, bindGroup, attentionPrefillGrid(run, batch.step.shape.numPrefillTiles));
}

async function check(ctx: KernelTestContext, run: AttentionRun): Promise<void> {
  const batch = makeAttentionBatch(run, prefillTileTokens(run.numHeads, run.numKvHeads));
  const buffers = uploadAttentionBatch(ctx, batch);
  const { numDecodeTokens, numPrefillTiles } = batch.step.shape;
  if (numDecodeTokens > 0) await decode(ctx, run, batch, buffers);
  if (numPrefillTiles > 0) await prefill(ctx, run, batch, buffers);
  const words = await ctx.readU32(buffers.out);
  const actual = new Float32Array(words.buffer, 0, batch.q.length);
  const what = `window ${run.window}, ${JSON.stringify(run.requests)}`;
  assertUntouched("out", words, (i) => i < batch.q.length);
  assertClose(what, actual, batch.expected, run.headDim);
}

function matches(name: string, shape: AttentionShape, runs: readonly Omit<AttentionRun, keyof AttentionShape>[]) {
  const prefills = runs.some(({ requests }) => requests.some(({ numTokens }) => numTokens > 1));
  const kernelCase: KernelCase = {
    name: `attention: ${name}, ${shape.kvType} cache`,
    // Decoding is the same with f16 and without, and so are the tiles of an f32 cache.
    ignoresF16: !prefills || shape.kvType === "f32",
    ignoresSubgroups: true,
    async run(ctx) {
      for (const run of runs) await check(ctx, { ...shape, ...run });
    },
  };
  return kernelCase;
}

const decodes = (positions: readonly number[]): AttentionRequest[] =>
  positions.map((start) => ({ start, numTokens: 1 }));
const chunk = (start: number, numTokens: number): AttentionRequest => ({ start, numTokens });

/** Numbers of keys around a block's and a split's. */
const decodeBatches = [decodes([0, 1, 2, 6, 14, 15, 16]), decodes([62, 63, 64, 100, 126, 127, 128, 201]), decodes([0])];
/** Chunks from a first one to one deep in the context; the tile of two tokens is short, that of 33 spills over. */
const prefillBatches = [
  [chunk(0, 2), chunk(0, 15), chunk(0, 17), chunk(5, 16), chunk(16, 3), chunk(63, 2), chunk(40, 33)],
  [chunk(120, 65)],
];
const mixedBatches = [[chunk(70, 1), chunk(3, 20), chunk(0, 1), chunk(129, 2), chunk(15, 1), chunk(0, 37)]];

/** Positions around the window's size, then in splits that the window straddles. */
const windowBatches = (window: number) => [
  decodes([window - 2, window - 1, window, window + 1, 63, 64, 79, 143].filter((position) => position >= 0)),
  [chunk(0, 2), chunk(Math.max(0, window - 2), 5), chunk(window, 18), chunk(130, 33), chunk(62, 1), chunk(140, 1)],
];

const smallCases = (
  [
    { headDim: 32, numHeads: 4, numKvHeads: 2, kvType: "f16" },
    { headDim: 8, numHeads: 4, numKvHeads: 2, kvType: "f32" },
  ] as const
).flatMap((shape) => {
  const full = (requests: readonly AttentionRequest[]) => ({ window: null, requests });
  return [
    matches("single tokens", shape, decodeBatches.map(full)),
    matches("chunks", shape, prefillBatches.map(full)),
    matches("chunks and single tokens in one batch", shape, mixedBatches.map(full)),
    matches("scores that pick single keys", shape, [{ ...full(mixedBatches[0]), query: 3 }]),
    ...[1, 15, 16, 17, 64].map((window) =>
      matches(
        `window of ${window}`,
        shape,
        windowBatches(window).map((requests) => ({ window, requests })),
      ),
    ),
  ];
});

const heads = (headDim: number, numHeads: number, numKvHeads: number, kvType: "f16" | "f32"): KernelCase =>
  matches(`head dim ${headDim}, ${numHeads} heads over ${numKvHeads}`, { headDim, numHeads, numKvHeads, kvType }, [
    { window: null, requests: [chunk(70, 1), chunk(0, 1), chunk(3, 9), chunk(60, 2), chunk(0, 34)] },
    { window: 9, requests: [chunk(70, 1), chunk(3, 9), chunk(40, 33)] },
  ]);

export const attentionCases: readonly KernelCase[] = [
  ...smallCases,
  heads(64, 2, 2, "f16"),
  heads(80, 2, 2, "f32"),
  heads(128, 2, 1, "f32"),
  heads(256, 1, 1, "f16"),
  // A shader each to compile, which takes a browser's adapter seconds; they differ in numbers only.
  ...[heads(8, 3, 1, "f32"), heads(8, 5, 1, "f32"), heads(8, 6, 1, "f32"), heads(8, 14, 2, "f32")].map(inNodeOnly),
  heads(8, 8, 2, "f32"),
  heads(8, 32, 2, "f32"),
];
