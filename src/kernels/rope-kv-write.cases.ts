import type { RopeConfig } from "../models/config";
import { ropeTable } from "../models/rope-table";
import { singleTokensFirst } from "../runner/step-buffer";
import { assertClose, assertUntouched, F16_ERROR, F32_ERROR } from "../testing/kernel-asserts";
import { type KernelCase, type KernelTestContext, withNaN } from "../testing/kernel-case";
import { PagedKv, type PagedKvShape } from "../testing/paged-kv";
import { Random } from "../testing/random";
import { type TestRequest, testStep, uploadStep } from "../testing/test-step";
import { assert } from "../util/errors";
import { fromF16Bits, toF16Bits } from "./reference/float-bits";
import { rmsNorm } from "./reference/norm";
import { applyRope, ropeInverseFrequencies } from "./reference/rope";
import { packRopeKvWriteParams, ropeKvWrite, ropeKvWriteGrid, ropeKvWriteVariant } from "./rope-kv-write";

interface RopeRun extends PagedKvShape {
  readonly numHeads: number;
  readonly qkNorm: boolean;
  readonly rope: RopeConfig;
  readonly requests: readonly (TestRequest & { readonly row: number; readonly startPosition: number })[];
  /** Positions that the rope table holds. */
  readonly maxPositions: number;
  /** Standard deviation of q, k and v. */
  readonly input: number;
}

const Q_SCALE = 0.37;
const EPS = 1e-6;

interface Token {
  readonly row: number;
  readonly position: number;
}

const tokensOf = ({ requests }: RopeRun): Token[] =>
  singleTokensFirst(requests).flatMap(({ row, startPosition, numTokens }) =>
    Array.from({ length: numTokens }, (_, i) => ({ row, position: startPosition + i })),
  );

/** q, k and v of one token by head, as they should be stored, in float64. */
function expectedHeads(run: RopeRun, qkv: Float32Array, norms: readonly Float32Array[], position: number) {
  const { numHeads, numKvHeads, headDim, qkNorm } = run;
  const frequencies = ropeInverseFrequencies(run.rope, headDim);
  const head = (index: number) => qkv.subarray(index * headDim, (index + 1) * headDim);
  const rotated = (index: number, norm: Float32Array) => {
    const normed = qkNorm ? rmsNorm(head(index), norm, EPS) : head(index);
    return applyRope(normed, position, frequencies);
  };
  return {
    q: Array.from({ length: numHeads }, (_, h) => rotated(h, norms[0]).map((value) => value * Q_SCALE)),
    k: Array.from({ length: numKvHeads }, (_, h) => rotated(numHeads + h, norms[1])),
    v: Array.from({ length: numKvHeads }, (_, h) => Float64Array.from(head(numHeads + numKvHeads + h))),
  };
}

async function check(ctx: KernelTestContext, run: RopeRun): Promise<void> {
  const { numHeads, numKvHeads, headDim, kvType } = run;
  const tokens = tokensOf(run);
  const random = new Random(headDim + numHeads);
  const width = (numHeads + 2 * numKvHeads) * headDim;
  const qkv = random.normalArray(tokens.length * width, run.input);
  const norms = [random.normalArray(headDim), random.normalArray(headDim)];
  const [qNormOffset, kNormOffset] = [8, 16 + headDim];
  const allNorms = new Float32Array(16 + 2 * headDim).fill(Number.NaN);
  allNorms.set(norms[0], qNormOffset);
  allNorms.set(norms[1], kNormOffset);
  const cache = new PagedKv(
    run,
    run.requests.map(({ row, startPosition, numTokens }) => {
      return { row, firstPosition: startPosition, endPosition: startPosition + numTokens };
    }),
  );
  const numQ = tokens.length * numHeads * headDim;
  const qOut = ctx.empty("q_out", (numQ + headDim) * 4);
  const kv = ctx.upload("kv", cache.words);
  const pipeline = await ctx.pipelines.get(ropeKvWrite, ropeKvWriteVariant(ctx.variant, run));
  const params = { layer: cache.layer, numHeads, inStride: width, qScale: Q_SCALE, eps: EPS, qNormOffset, kNormOffset };
  const bindGroup = pipeline.bind("rope_kv_write", {
    params: ctx.buffers.uniform("params", packRopeKvWriteParams(params)),
    step: uploadStep(ctx, testStep(run.requests)),
    qkv: ctx.upload("qkv", withNaN(qkv.length + width, qkv)),
    norms: ctx.upload("norms", allNorms),
    rope: ctx.upload("rope", ropeTable(run.rope, headDim, run.maxPositions)),
    block_tables: ctx.upload("block_tables", cache.blockTables),
    q_out: qOut,
    kv: kv,
  });
  ctx.dispatch(pipeline, bindGroup, ropeKvWriteGrid(numHeads, numKvHeads, tokens.length));

  const qWords = await ctx.readU32(qOut);
  const kvWords = await ctx.readU32(kv);
  const written = new Set<number>();
  const q: number[] = [];
  tokens.forEach(({ row, position }, t) => {
    const expected = expectedHeads(run, qkv.subarray(t * width, (t + 1) * width), norms, position);
    for (const head of expected.q) q.push(...head);
    for (const kOrV of ["k", "v"] as const) {
      expected[kOrV].forEach((values, head) => {
        const element = cache.element(row, position, kOrV, head);
        for (let d = 0; d < headDim; d++) written.add(Math.floor((element + d) / (kvType === "f16" ? 2 : 1)));
        checkStored(`${kOrV} of head ${head} at ${position}`, kvType, kvWords, element, values, kOrV === "v");
      });
    }
  });
  assertUntouched("q_out", qWords, (i) => i < numQ);
  assertUntouched("kv", kvWords, (i) => written.has(i));
  assertClose("q", new Float32Array(qWords.buffer, 0, numQ), q, headDim);
}

/** Values that reach the cache unchanged are compared by their bits: exact in f32, one of the two neighbours in f16. */
function checkStored(
  what: string,
  kvType: "f16" | "f32",
  words: Uint32Array,
  element: number,
  expected: Float64Array,
  isUnchanged: boolean,
): void {
  const { length } = expected;
  if (kvType === "f32") {
    assertClose(
      what,
      new Float32Array(words.buffer, 4 * element, length),
      expected,
      length,
      isUnchanged ? 0 : F32_ERROR,
    );
    return;
  }
  const bits = new Uint16Array(words.buffer, 2 * element, length);
  const clamped = expected.map((value) => Math.max(-65504, Math.min(65504, value)));
  assertClose(what, Float64Array.from(bits, fromF16Bits), clamped, length, F16_ERROR);
  if (!isUnchanged) return;
  clamped.forEach((value, d) => {
    const nearest = toF16Bits(value);
    const isTruncated = bits[d] === nearest - 1 && Math.abs(fromF16Bits(bits[d])) < Math.abs(value);
    assert(bits[d] === nearest || isTruncated, () => `${what}: ${value} became 0x${bits[d].toString(16)}`);
  });
}

const NONE: RopeConfig = { theta: 10_000, scaling: { kind: "none" } };
const LLAMA3: RopeConfig = {
  theta: 500_000,
  scaling: { kind: "llama3", factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPosition: 8192 },
};

const DEFAULT: RopeRun = {
  headDim: 32,
  numHeads: 4,
  numKvHeads: 2,
  kvType: "f16",
  qkNorm: false,
  rope: NONE,
  maxPositions: 640,
  input: 1,
  requests: [
    { row: 6, startPosition: 15, numTokens: 1 },
    { row: 0, startPosition: 0, numTokens: 17 },
    { row: 7, startPosition: 255, numTokens: 3 },
    { row: 2, startPosition: 639, numTokens: 1 },
  ],
};

function matches(name: string, runs: readonly Partial<RopeRun>[]): KernelCase {
  const usesNorm = runs.some(({ qkNorm }) => qkNorm);
  return {
    name: `rope_kv_write: ${name}`,
    ignoresF16: true,
    // Only the norm reduces.
    ignoresSubgroups: !usesNorm,
    async run(ctx) {
      for (const run of runs) await check(ctx, { ...DEFAULT, ...run });
    },
  };
}

/** Single tokens at both ends of the tables' levels, up to the longest context. */
const farTokens = [0, 255, 256, 257, 4095, 65_535, 65_536, 131_071].map((startPosition, row) => {
  return { row, startPosition, numTokens: 1 };
});
const far = { requests: farTokens, maxPositions: 131_072 };

export const ropeKvWriteCases: readonly KernelCase[] = [
  matches("chunks over block boundaries, single tokens, one token alone", [
    {},
    { requests: [{ row: 0, startPosition: 0, numTokens: 1 }] },
  ]),
  matches("f32 cache", [{ kvType: "f32" }]),
  matches("positions up to 131,071, all kinds of scaling", [
    far,
    { ...far, rope: { theta: 500_000, scaling: { kind: "none" } } },
    { ...far, rope: { theta: 1_000_000, scaling: { kind: "linear", factor: 8 } } },
    { ...far, rope: LLAMA3 },
  ]),
  matches("normed q and k", [{ qkNorm: true }, { qkNorm: true, input: 1e5 }, { qkNorm: true, ...far }]),
  matches("normed q and k, widest head, f32 cache", [
    { qkNorm: true, kvType: "f32", headDim: 256, numHeads: 3, numKvHeads: 1 },
  ]),
  matches("smallest head", [{ headDim: 8, numHeads: 7, numKvHeads: 1 }]),
  matches("head dim 80, f32 cache", [{ headDim: 80, numHeads: 5, numKvHeads: 5, kvType: "f32" }]),
  matches("values over the range of f16 are clamped, subnormal ones kept", [{ input: 1e5 }, { input: 1e-4 }]),
];
