import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { GpuDevice } from "../gpu/device";
import { int8Scale, kvBytes, kvValues, ROUND_KV } from "../kernels/reference/kv-int8";
import type { KvDtype } from "../kv/geometry";
import { offloadedPageBytes } from "../kv/offload-encoding";
import { openDawn } from "../testing/gpu";
import { Random } from "../testing/random";
import {
  expectSame,
  loadJob,
  NUM_BLOCKS,
  storeJob,
  TransferRig,
  type TransferRigOptions,
} from "./kv-transfers.fixture";

const dawn = await openDawn();
const gpu = dawn as GpuDevice;
const rigs: TransferRig[] = [];

/** Pages of numbers, one with a vector of NaN, one with a vector of zeros, and magnitudes that differ by vector. */
async function openRig(options: TransferRigOptions = {}): Promise<TransferRig> {
  const rig = await TransferRig.open(gpu, { encoding: "int8", ...options });
  rigs.push(rig);
  for (let blockId = 0; blockId < NUM_BLOCKS; blockId++) rig.writePage(blockId, pageOfNumbers(rig, blockId));
  return rig;
}

const NAN_PLACE = { blockId: 5, vector: 3 };
const ZERO_PLACE = { blockId: 2, vector: 7 };

function pageOfNumbers({ geometry, pageBytes }: TransferRig, blockId: number): Uint8Array<ArrayBuffer> {
  const { headDim, dtype } = geometry;
  const random = new Random(blockId);
  const numVectors = pageBytes / (headDim * (dtype === "f16" ? 2 : 4));
  const values = Array.from({ length: numVectors }, (_, vector) => {
    if (blockId === NAN_PLACE.blockId && vector === NAN_PLACE.vector) return new Array(headDim).fill(Number.NaN);
    if (blockId === ZERO_PLACE.blockId && vector === ZERO_PLACE.vector) return new Array(headDim).fill(0);
    return Array.from(random.normalArray(headDim, 2 ** random.int(-20, 10)), ROUND_KV[dtype]);
  });
  return kvBytes(values.flat(), dtype);
}

beforeEach(() => gpu?.device.pushErrorScope("validation"));
afterEach(async () => {
  for (const { buffers } of rigs.splice(0)) buffers.destroyAll();
  expect((await gpu?.device.popErrorScope())?.message).toBeUndefined();
  expect(gpu?.health.failure ?? null).toBeNull();
});

/** Each element is within scale / 254 and a rounding of what it was; a vector that had NaN is all NaN. */
function expectClose(
  actual: Uint8Array<ArrayBuffer>,
  original: Uint8Array<ArrayBuffer>,
  { geometry }: TransferRig,
): void {
  const { headDim, dtype } = geometry;
  const [now, before] = [kvValues(actual, dtype), kvValues(original, dtype)];
  let worst = 0;
  for (let start = 0; start < before.length; start += headDim) {
    const vector = before.slice(start, start + headDim);
    const scale = int8Scale(vector);
    vector.forEach((value, d) => {
      const error = Math.abs(now[start + d] - value);
      if (Number.isNaN(scale)) expect(now[start + d]).toBeNaN();
      else if (Math.abs(value) === scale) expect(now[start + d]).toBe(value);
      else worst = Math.max(worst, error / (scale / 254 + rounding(value, dtype)));
    });
  }
  expect(worst).toBeGreaterThan(0.9);
  expect(worst).toBeLessThan(1.001);
}

function rounding(value: number, dtype: KvDtype): number {
  return dtype === "f16" ? Math.max(2 ** -10 * Math.abs(value), 2 ** -24) : 2 ** -21 * Math.abs(value);
}

const FORMATS = ([1, 2, 3] as const).flatMap((numPlanes) =>
  (["f16", "f32"] as const).map((dtype) => ({ numPlanes, dtype })),
);

describe.skipIf(!dawn).each(FORMATS)("int8 in host slots, of $dtype pages in $numPlanes planes", (format) => {
  it("comes back within its error, and a second round trip gives the same bytes", async () => {
    const rig = await openRig(format);
    const [pages, slots] = [await rig.readPages(), rig.copyOfSlots()];
    expect(await rig.run({ stores: [storeJob([5, 2, 9, 7], 1)] })).toEqual([4]);
    const stored = rig.slots[1].slice();
    expectSame(rig.slots, slots.with(1, stored));
    expectSame(await rig.readPages(), pages);

    expect(await rig.run({ loads: [loadJob([8, 1, 11, 4].map((blockId, place) => [1, place, blockId]))] })).toEqual([
      4,
    ]);
    const loaded = await rig.readPages();
    [5, 2, 9, 7].forEach((blockId, place) => {
      const target = [8, 1, 11, 4][place];
      expectClose(loaded[target], pages[blockId], rig);
      pages[target] = loaded[target];
    });
    expectSame(loaded, pages);

    expect(await rig.run({ stores: [storeJob([8, 1, 11, 4], 3)] })).toEqual([4]);
    expectSame([rig.slots[3]], [stored]);
    await rig.run({ loads: [loadJob([[3, 0, 6]])] });
    expectSame([(await rig.readPages())[6]], [loaded[8]]);
  });
});

it.skipIf(!dawn)("does not depend on how the pool is cut into planes", async () => {
  const slots: Uint8Array[] = [];
  for (const numPlanes of [1, 2, 3] as const) {
    const rig = await openRig({ numPlanes });
    await rig.run({ stores: [storeJob([1, 2, 3, 4], 0)] });
    slots.push(rig.slots[0].slice());
  }
  expectSame(slots, [slots[0], slots[0], slots[0]]);
  expect(slots[0]).toHaveLength(4 * offloadedPageBytes(rigs[0].geometry, "int8"));
});

describe.skipIf(!dawn)("a step with int8", () => {
  it("stores several chunks at once, what the same step loads into as it was before", async () => {
    const rig = await openRig();
    await rig.run({ stores: [storeJob([1, 2, 3, 4], 0)] });
    const before = rig.slots[0].slice();
    await rig.run({ stores: [storeJob([9, 10, 11, 6], 1)] });
    const loads = [loadJob([[1, 0, 1]]), loadJob([[1, 1, 2]])];
    expect(await rig.run({ stores: [storeJob([4], 2), storeJob([1, 2, 3, 4], 3)], loads })).toEqual([1, 4, 1, 1]);
    expectSame([rig.slots[3], rig.place(2, 0)], [before, rig.place(0, 3)]);
    await rig.run({ stores: [storeJob([1, 2], 2)] });
    expectSame([rig.place(2, 0), rig.place(2, 1)], [rig.place(1, 0), rig.place(1, 1)]);
  });

  it("loads more blocks than are decoded at once, up to one that the host cannot give", async () => {
    const rig = await openRig({ numStagingSlots: 1 });
    await rig.run({ stores: [storeJob([1, 2, 3, 4], 0)] });
    const blocks = [5, 6, 7, 8, 9, 10].map((blockId, i): [number, number, number] => [0, i % 4, blockId]);
    expect(await rig.run({ loads: [loadJob(blocks), loadJob([[77, 0, 1]]), loadJob([[0, 3, 11]])] })).toEqual([
      6, 0, 1,
    ]);
    await rig.run({ stores: [storeJob([5, 6, 7, 8], 1)] });
    await rig.run({ stores: [storeJob([9, 10, 7, 11], 2)] });
    expectSame(rig.slots.slice(1, 3), [rig.slots[0], rig.slots[0]]);
  });
});
