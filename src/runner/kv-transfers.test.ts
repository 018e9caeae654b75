import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openNullDevice } from "../testing/gpu";
import { failTransfers, kvTransfersBytes } from "./kv-transfers";
import { EPOCH, loadJob, storeJob, TransferRig } from "./kv-transfers.fixture";

// The device checks every command and runs none: whether bytes arrive is the business of kv-transfers.gpu.test.ts.
const gpu = await openNullDevice();
let rig: TransferRig;

beforeEach(async () => {
  gpu.device.pushErrorScope("validation");
  rig = await TransferRig.open(gpu, { numStagingSlots: 2 });
});
afterEach(async () => {
  rig.buffers.destroyAll();
  expect(await gpu.device.popErrorScope()).toBeNull();
});

describe("KvTransfers", () => {
  it("refuses more stores than staging slots are free, and then submits none of them", async () => {
    const stores = [storeJob([1], 0), storeJob([2], 1), storeJob([3], 2)];
    const tooMany = /3 stores for 2 free staging slots/;
    expect(() => rig.transfers.submit({ stores, loads: [] })).toThrow(tooMany);
    const running = rig.run({ stores: stores.slice(0, 2) });
    expect(() => rig.transfers.submit({ stores: [stores[2]], loads: [] })).toThrow(/1 stores for 0 free/);
    await running;
    await rig.run({ stores: stores.slice(1) });
  });

  it("asks no staging slot for a job of another epoch", async () => {
    const stores = [1, 2, 3].map((blockId) => storeJob([blockId], 0, { epoch: EPOCH + 1 }));
    expect(await rig.run({ stores })).toEqual([0, 0, 0]);
  });

  it("counts the blocks of a load up to the first that the host cannot give", async () => {
    const blocks: [number, number, number][] = [
      [0, 0, 1],
      [77, 0, 2],
      [0, 1, 3],
    ];
    rig.slots[1] = new Uint8Array(0);
    expect(await rig.run({ loads: [loadJob(blocks), loadJob([[1, 0, 4]]), loadJob([])] })).toEqual([1, 0, 0]);
  });

  it("fails jobs that are not begun, in the order of a step", async () => {
    const [stores, loads] = [[storeJob([1], 0), storeJob([2], 1)], [loadJob([[0, 0, 3]], { epoch: 9 })]];
    expect(await Promise.all(failTransfers({ stores, loads }))).toEqual([
      { jobId: stores[0].jobId, epoch: EPOCH, numBlocks: 0 },
      { jobId: stores[1].jobId, epoch: EPOCH, numBlocks: 0 },
      { jobId: loads[0].jobId, epoch: 9, numBlocks: 0 },
    ]);
  });
});

it.each([
  ["exact", 4, 1],
  ["exact", 1, 3],
  ["int8", 4, 1],
  ["int8", 1, 3],
] as const)("kvTransfersBytes tells what %s transfers hold, for chunks of %i blocks and %i slots", async (...sizes) => {
  const [encoding, blocksPerChunk, numStagingSlots] = sizes;
  const { buffers, pool, parts } = await TransferRig.open(gpu, { encoding, numStagingSlots, blocksPerChunk });
  const numBlocks = numStagingSlots * blocksPerChunk;
  const poolBytes = pool.planes.reduce((sum, { plane }) => sum + plane.bytes, 0);
  const idsAndParams = encoding === "int8" ? 16 * Math.ceil(numBlocks / 4) + 32 * pool.planes.length : 0;
  const bytes = kvTransfersBytes(blocksPerChunk * parts.pages.pageBytes, numStagingSlots, encoding);
  expect(buffers.bytes).toBe(poolBytes + idsAndParams + bytes);
  buffers.destroyAll();
});
