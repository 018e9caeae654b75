import {
  type AttentionRequest,
  type AttentionRun,
  makeAttentionBatch,
  type uploadAttentionBatch,
} from "../testing/attention-fixture";
import { assertClose, assertUntouched } from "../testing/kernel-asserts";
import type { KernelCase, KernelTestContext } from "../testing/kernel-case";
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
type AttentionShape = Omit<AttentionRun, "window" | "requests">;

/** The splits have room for one more than any query needs, and the grid asks for it too. */
async function decode(ctx: KernelTestContext, run: AttentionRun, buffers: AttentionBuffers): Promise<void> {
  const { numHeads, headDim, requests } = run;
  const window = run.window ?? NO_WINDOW;
  const queries = requests.filter(({ numTokens }) => numTokens === 1);
  const maxSplits = 1 + Math.max(...queries.map(({ start }) => numSplits(start, window)));
  const numPartials = queries.length * numHeads * maxSplits;
  const { step, q, block_tables, kv, out } = buffers;
  const partials = {
    partial_out: { buffer: ctx.empty("partial_out", numPartials * headDim * 4) },
    partial_stats: { buffer: ctx.empty("partial_stats", numPartials * 8) },
  };
  const params = { numHeads, window, maxSplits };
  const [split, reduce] = await Promise.all([
    ctx.pipelines.get(attentionDecode, attentionDecodeVariant(run)),
    ctx.pipelines.get(attentionReduce, attentionReduceVariant(headDim)),
  ]);
  const layer = makeLayer(run);
  const splitParams = ctx.buffers.uniform("split.params", packAttentionDecodeParams({ ...params, layer }));
  const splitGroup = split.bind("split", { params: { buffer: splitParams }, step, q, block_tables, kv, ...partials });
  const reduceParams = ctx.buffers.uniform("reduce.params", packAttentionReduceParams(params));
  const reduceGroup = reduce.bind("reduce", { params: { buffer: reduceParams }, step, ...partials, out });
  ctx.dispatch(split, splitGroup, attentionDecodeGrid(run, maxSplits, queries.length));
  ctx.dispatch(reduce, reduceGroup, [numHeads, queries.length]);
}
