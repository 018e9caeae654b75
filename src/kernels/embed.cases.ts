import { MAX_GROUPS_PER_DIMENSION } from "../gpu/kernel";
import { LAST_SAMPLED } from "../runner/step-buffer";
import { assertSame, assertUntouched } from "../testing/kernel-asserts";
import type { KernelCase, KernelTestContext } from "../testing/kernel-case";
import { packWeights, roundWeights, unpadRows } from "../testing/matrices";
import { Random } from "../testing/random";
import { testStep, uploadStep } from "../testing/test-step";
import { assert } from "../util/errors";
import { roundUp } from "../util/math";
import { allWeightModules } from "./all-weight-modules";
import { embed, embedGrid, embedVariant, packEmbedParams } from "./embed";
import type { WeightType } from "./modules";
import { fromBf16Bits, fromF16Bits } from "./reference/float-bits";

interface EmbedRun {
  readonly type: WeightType;
  readonly width: number;
  /** [ids, width] */
  readonly table: Float32Array;
  readonly ids: readonly number[];
  readonly scale: number;
  /** First id of each slice of the table, and the number of ids as the last. */
  readonly slices: readonly number[];
  /** The first request's tokens are ids that row 3 sampled last. */
  readonly lastId?: number;
}

/** x [tokens, width] after one dispatch a slice. What lies beyond the tokens must not have been written. */
async function embedOnGpu(ctx: KernelTestContext, run: EmbedRun): Promise<Float32Array> {
  const { type, width, table, ids, scale, slices, lastId } = run;
  const requests = [{ numTokens: ids.length, tokens: { kind: "ids", ids } as const }];
  const step = testStep(
    lastId === undefined ? requests : [{ numTokens: 1, row: 3, tokens: { kind: "last-sampled" } }, ...requests],
  );
  const { numTokens } = step.shape;
  assert(lastId === undefined || step.words[12] === LAST_SAMPLED, "the first token is not the last sampled one");
  const stride = roundUp(width, 8);
  const x = ctx.empty("x", (numTokens + 1) * stride * 4);
  const lastIds = ctx.upload("last_ids", Uint32Array.of(9999, 9999, 9999, lastId ?? 9999, 9999));
  const stepBuffer = uploadStep(ctx, step);
  const pipeline = await ctx.pipelines.get(embed, embedVariant(allWeightModules[type], width));
  // The last slice first, so that a slice which takes the next one's first id spoils what that one has written.
  for (let i = slices.length - 2; i >= 0; i--) {
    const [first, end] = slices.slice(i, i + 2);
    const bindGroup = pipeline.bind("embed", {
      params: ctx.buffers.uniform("params", packEmbedParams(first, end - first, scale)),
      step: stepBuffer,
      last_ids: lastIds,
      weights: ctx.upload("weights", packWeights(type, table.subarray(first * width, end * width), width)),
      x: x,
    });
    ctx.dispatch(pipeline, bindGroup, embedGrid(numTokens));
  }
  assertUntouched("x", await ctx.readU32(x), (i) => i < numTokens * stride);
  return unpadRows(await ctx.readF32(x), width, numTokens);
}

const expectedRows = ({ width, table, ids, scale, lastId }: EmbedRun) =>
  (lastId === undefined ? ids : [lastId, ...ids]).flatMap((id) =>
    Array.from(table.subarray(id * width, (id + 1) * width), (weight) => Math.fround(weight * Math.fround(scale))),
  );

function matches(name: string, makeRuns: () => readonly EmbedRun[]): KernelCase {
  return {
    name: `embed: ${name}`,
    ignoresF16: true,
    ignoresSubgroups: true,
    async run(ctx) {
      for (const run of makeRuns()) assertSame(`width ${run.width}`, await embedOnGpu(ctx, run), expectedRows(run));
    },
  };
}

function randomRun(type: WeightType, width: number, ids: readonly number[]): EmbedRun {
  const numIds = 23;
  const table = roundWeights(type, new Random(width).normalArray(numIds * width), width);
  return { type, width, table, ids, scale: Math.sqrt(width), slices: [0, numIds] };
}

const someIds = [22, 0, 7, 7, 1, 21, 13];

const shapeCases = [
  matches("f32, widths under, at and over a unit and a workgroup", () =>
    [1, 7, 8, 13].map((width) => randomRun("f32", width, someIds)),
  ),
  matches("f16, widths that no tile divides", () => [65, 172].map((width) => randomRun("f16", width, someIds))),
  matches("q8_0 and q4_0, widths that no block divides, by slices", () =>
    (["q8_0", "q4_0"] as const).flatMap((type) =>
      [172, 300].map((width) => ({ ...randomRun(type, width, someIds), slices: [0, 1, 8, 23] })),
    ),
  ),
  matches("bf16, more units than threads", () => [1031].map((width) => randomRun("bf16", width, someIds))),
  matches("one token", () => [randomRun("f32", 13, [4])]),
  matches("the id sampled last is read on the GPU", () => [{ ...randomRun("f32", 13, someIds), lastId: 17 }]),
  matches("slices of a table, each id from the one that holds it", () => [
    { ...randomRun("f16", 65, [0, 6, 7, 8, 21, 22, 15, 14]), slices: [0, 7, 8, 22, 23] },
  ]),
  matches("more tokens than a grid's dimension", () => {
    const ids = new Random(1).intArray(MAX_GROUPS_PER_DIMENSION + 2, 0, 23);
    return [randomRun("f32", 1, ids)];
  }),
];

/** Every finite pattern of a 16-bit type must be widened exactly; subnormals of bf16 may be flushed, as any f32 may. */
const patternsCase: KernelCase = {
  name: "embed: every f16 and bf16 is widened exactly",
  ignoresF16: true,
  ignoresSubgroups: true,
  async run(ctx) {
    const width = 64;
    const ids = Array.from({ length: 1024 }, (_, id) => id);
    for (const [type, decode] of [["f16", fromF16Bits] as const, ["bf16", fromBf16Bits] as const]) {
      const values = Float32Array.from({ length: 0x10000 }, (_, bits) => decode(bits));
      const table = values.map((value) => (Number.isFinite(value) ? value : 0));
      const widened = await embedOnGpu(ctx, { type, width, table, ids, scale: 1, slices: [0, ids.length] });
      const wrong = widened.findIndex((value, i) => {
        const isFlushed = value === 0 && Math.abs(table[i]) < 2 ** -126;
        return value !== table[i] && !isFlushed;
      });
      assert(wrong < 0, () => `${type} 0x${wrong.toString(16)} became ${widened[wrong]}, ${table[wrong]} expected`);
    }
  },
};

export const embedCases: readonly KernelCase[] = [...shapeCases, patternsCase];
