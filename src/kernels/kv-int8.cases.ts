import { assertSame, assertUntouched } from "../testing/kernel-asserts";
import type { KernelCase, KernelTestContext } from "../testing/kernel-case";
import { Random } from "../testing/random";
import { assert } from "../util/errors";
import {
  type Int8PlaneParams,
  kvDecode,
  kvDecodeGrid,
  kvEncode,
  kvEncodeGrid,
  kvInt8Variant,
  packInt8PlaneParams,
} from "./kv-int8";
import type { KvType } from "./modules";
import { fromF16Bits } from "./reference/float-bits";
import { decodeInt8, int8Scale, kvBytes, kvValues, ROUND_KV } from "./reference/kv-int8";

/** Blocks are read in one order, and written in another one to a plane in which all else is NaN. */
interface Run extends Int8PlaneParams {
  readonly numBlocks: number;
  readonly readIds: readonly number[];
  readonly writeIds: readonly number[];
  /** Of the plane, in values that its type holds: [block][vector][head dim]. */
  readonly values: readonly number[];
}

type Pipelines = ReturnType<typeof compile> extends Promise<infer P> ? P : never;

async function compile({ pipelines }: KernelTestContext) {
  const [encode, decode] = await Promise.all([
    pipelines.get(kvEncode, kvInt8Variant),
    pipelines.get(kvDecode, kvInt8Variant),
  ]);
  return { encode, decode };
}

async function check(ctx: KernelTestContext, run: Run): Promise<void> {
  const pipelines = await compile(ctx);
  const planeWords = new Uint32Array(kvBytes(run.values, run.kvType).buffer);
  const kv = ctx.upload("kv", planeWords);
  const encoded = encodePages(ctx, pipelines, run, kv, run.readIds);
  checkEncoded(run, await ctx.readU32(encoded, numEncodedWords(run)));
  assertSame("the pages read", await ctx.readU32(kv, planeWords.length), planeWords);

  const decoded = ctx.empty("decoded", planeWords.byteLength);
  const bound = bindings(ctx, run, run.writeIds);
  const bindGroup = pipelines.decode.bind("decode", { ...bound, encoded, kv: decoded });
  ctx.dispatch(pipelines.decode, bindGroup, kvDecodeGrid(run, run.writeIds.length));
  checkDecoded(run, await ctx.readU32(encoded), await ctx.readU32(decoded, planeWords.length));

  const again = encodePages(ctx, pipelines, run, decoded, run.writeIds);
  assertSame("encoded twice", await ctx.readU32(again), await ctx.readU32(encoded));
}

function bindings(ctx: KernelTestContext, run: Run, blockIds: readonly number[]) {
  return {
    params: ctx.buffers.uniform("params", packInt8PlaneParams(run)),
    block_ids: ctx.upload("block_ids", Uint32Array.from(blockIds)),
  };
}

function encodePages(
  ctx: KernelTestContext,
  { encode }: Pipelines,
  run: Run,
  kv: GPUBuffer,
  blockIds: readonly number[],
): GPUBuffer {
  const encoded = ctx.empty("encoded", 4 * numEncodedWords(run));
  const bindGroup = encode.bind("encode", { ...bindings(ctx, run, blockIds), kv, encoded });
  ctx.dispatch(encode, bindGroup, kvEncodeGrid(run, blockIds.length));
  return encoded;
}

const pageWords = ({ pageVectors, headDim }: Run) => pageVectors * (1 + headDim / 4);
const numEncodedWords = (run: Run) => run.readIds.length * pageWords(run);

/** The vectors of the plane's part of a page, with where they lie encoded. */
function vectorsAt(run: Run, place: number) {
  const { headDim, planeVectors, firstVector, pageVectors } = run;
  return Array.from({ length: planeVectors }, (_, vector) => {
    const start = (run.readIds[place] * planeVectors + vector) * headDim;
    const page = place * pageWords(run);
    const scaleWord = page + firstVector + vector;
    const firstByte = 4 * (page + pageVectors) + (firstVector + vector) * headDim;
    return { vector, values: run.values.slice(start, start + headDim), scaleWord, firstByte };
  });
}

function quantsAt(words: Uint32Array<ArrayBuffer>, firstByte: number, { headDim }: Run): number[] {
  return Array.from(new Int8Array(words.buffer, firstByte, headDim));
}

function checkEncoded(run: Run, words: Uint32Array<ArrayBuffer>): void {
  const scales = new Float32Array(words.buffer);
  const written = new Set<number>();
  run.readIds.forEach((_, place) => {
    for (const { vector, values, scaleWord, firstByte } of vectorsAt(run, place)) {
      const scale = int8Scale(values);
      const quants = quantsAt(words, firstByte, run);
      assert(Object.is(scales[scaleWord], scale), () => `scale ${vector} is ${scales[scaleWord]}, not ${scale}`);
      written.add(scaleWord);
      values.forEach((value, d) => {
        written.add(Math.floor((firstByte + d) / 4));
        // A device divides as well as it does: a quotient on a half may go either way.
        const exact = scale > 0 ? (127 * value) / scale : 0;
        assert(Math.abs(quants[d] - exact) < 0.501, () => `${value} of ${scale} became ${quants[d]}`);
        if (Math.abs(value) === scale)
          assert(Math.abs(quants[d]) === (scale && 127), () => `the largest: ${quants[d]}`);
      });
    }
  });
  assertUntouched("encoded", words, (i) => written.has(i));
}

/** To the bit where the quant is 127; else as near as an f32 product, or one of the two f16 beside it. */
function checkDecoded(run: Run, encoded: Uint32Array<ArrayBuffer>, words: Uint32Array<ArrayBuffer>): void {
  const { headDim, planeVectors, kvType } = run;
  const scales = new Float32Array(encoded.buffer);
  const actual = kvValues(new Uint8Array(words.buffer), kvType);
  const written = new Set<number>();
  run.writeIds.forEach((blockId, place) => {
    for (const { vector, scaleWord, firstByte } of vectorsAt(run, place)) {
      const quants = quantsAt(encoded, firstByte, run);
      const exact = decodeInt8({ scale: scales[scaleWord], quants }, (value) => value);
      exact.forEach((value, d) => {
        const element = (blockId * planeVectors + vector) * headDim + d;
        written.add(Math.floor(element / (kvType === "f16" ? 2 : 1)));
        const isRight = isRounded(actual[element], value, kvType, Math.abs(quants[d]) === 127);
        assert(isRight, () => `${quants[d]} of ${scales[scaleWord]} became ${actual[element]}`);
      });
    }
  });
  assertUntouched("kv", words, (i) => written.has(i));
}

function isRounded(actual: number, exact: number, kvType: KvType, isExact: boolean): boolean {
  if (Number.isNaN(exact)) return Number.isNaN(actual);
  if (isExact || exact === 0) return actual === exact;
  const step = kvType === "f32" ? 2 ** -21 * Math.abs(exact) : Math.max(2 ** -10 * Math.abs(exact), 0.501 * 2 ** -24);
  return Math.abs(actual - exact) <= step;
}

/** Three of four blocks, of a page of `numSlots` layer slots whose slots from `firstSlot` are in the plane; one kv head. */
function pagesOf(kvType: KvType, headDim: number, [firstSlot, numSlots, numAllSlots]: readonly number[]): Run {
  const random = new Random(headDim + numSlots);
  const slotVectors = 2 * 16;
  const planeVectors = numSlots * slotVectors;
  const numBlocks = 4;
  const values = Array.from(random.normalArray(numBlocks * planeVectors * headDim), ROUND_KV[kvType]);
  return {
    kvType,
    headDim,
    pageVectors: numAllSlots * slotVectors,
    planeVectors,
    firstVector: firstSlot * slotVectors,
    numBlocks,
    readIds: [3, 0, 2],
    writeIds: [1, 3, 0],
    values,
  };
}

/** One page of vectors. */
function vectors(kvType: KvType, headDim: number, all: readonly (readonly number[])[]): Run {
  const pad = (vector: readonly number[]) => [...vector, ...new Array(headDim - vector.length).fill(0)];
  const values = all.flatMap(pad).map(ROUND_KV[kvType]);
  const page = { pageVectors: all.length, planeVectors: all.length, firstVector: 0 };
  return { kvType, headDim, ...page, numBlocks: 1, readIds: [0], writeIds: [0], values };
}

/** Every magnitude of f16 as the largest of a vector, with smaller ones of both signs. */
function everyHalf(): Run {
  const random = new Random(3);
  const all = Array.from({ length: 0x7c00 }, (_, bits) => {
    const scale = fromF16Bits(bits);
    return [...random.uniformArray(7, -1, 1).map((share) => share * scale), bits % 2 === 0 ? scale : -scale];
  });
  return vectors("f16", 8, all);
}

/** A vector for each exponent of f32, with values down to nothing. */
function everyExponent(): Run {
  const random = new Random(4);
  const all = Array.from({ length: 277 }, (_, i) =>
    Array.from(random.normalArray(64), (value, d) => Math.fround(value * 2 ** (i - 149 - d / 4))).map((value) =>
      Number.isFinite(value) ? value : 0,
    ),
  );
  return vectors("f32", 64, all);
}

/** Zeros, NaN and infinities, each between vectors that must not notice. */
function specials(kvType: KvType): Run {
  const ordinary = [1, -2, 0.5, 0.25];
  const all = [[0], [-0, 0], [Number.NaN], [1, Number.NaN, 3], [Number.POSITIVE_INFINITY, 1], [1, -Infinity], [5]];
  return vectors(kvType, 16, [ordinary, ...all.flatMap((special) => [special, ordinary])]);
}

function matches(name: string, runs: () => readonly Run[]): KernelCase {
  return {
    name: `kv_encode, kv_decode: ${name}`,
    ignoresF16: true,
    ignoresSubgroups: true,
    async run(ctx) {
      for (const run of runs()) await check(ctx, run);
    },
  };
}

const KV_TYPES = ["f16", "f32"] as const;

export const kvInt8Cases: readonly KernelCase[] = [
  ...[8, 64, 80, 96, 128, 256].map((headDim) =>
    matches(`head dim ${headDim}`, () => KV_TYPES.map((kvType) => pagesOf(kvType, headDim, [0, 2, 2]))),
  ),
  matches("the part of a page in one plane of several", () =>
    KV_TYPES.flatMap((kvType) => [pagesOf(kvType, 64, [0, 2, 3]), pagesOf(kvType, 64, [2, 1, 3])]),
  ),
  matches("every magnitude of f16", () => [everyHalf()]),
  matches("every exponent of f32", () => [everyExponent()]),
  matches("zeros, NaN and infinities", () => KV_TYPES.map(specials)),
];
