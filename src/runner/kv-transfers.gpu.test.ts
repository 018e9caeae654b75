import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { GpuDevice } from "../gpu/device";
import { DeviceHealth } from "../gpu/device-health";
import { deferred } from "../testing/deferred";
import { openDawn } from "../testing/gpu";
import { EPOCH, expectSame, loadJob, storeJob, TransferRig, type TransferRigOptions } from "./kv-transfers.fixture";
import { fillPages } from "./page-filler.fixture";
import { StagingRing } from "./staging-ring";

const dawn = await openDawn();
const gpu = dawn as GpuDevice;
const rigs: TransferRig[] = [];

async function openRig(options?: TransferRigOptions, device = gpu): Promise<TransferRig> {
  const rig = await TransferRig.open(device, options);
  rigs.push(rig);
  return rig;
}

beforeEach(() => gpu?.device.pushErrorScope("validation"));
afterEach(async () => {
  for (const { buffers } of rigs.splice(0)) buffers.destroyAll();
  expect((await gpu?.device.popErrorScope())?.message).toBeUndefined();
  expect(gpu?.health.failure ?? null).toBeNull();
});

const FORMATS = ([1, 2, 3] as const).flatMap((numPlanes) =>
  (["f16", "f32"] as const).map((dtype) => ({ numPlanes, dtype })),
);

describe.skipIf(!dawn)("a transfer in both directions", () => {
  describe.each(FORMATS)("between $dtype pages in $numPlanes planes and host slots", (format) => {
    it("stores a chunk, byte by byte, and changes neither pages nor other slots", async () => {
      const rig = await openRig(format);
      expect(rig.pool.planes).toHaveLength(format.numPlanes);
      const [pages, slots] = [await rig.readPages(), rig.copyOfSlots()];
      expect(await rig.run({ stores: [storeJob([5, 2, 9, 7], 1)] })).toEqual([4]);
      slots[1] = concat([5, 2, 9, 7].map((blockId) => pages[blockId]));
      expectSame(rig.slots, slots);
      expectSame(await rig.readPages(), pages);
    });

    it("loads a chunk, byte by byte, and changes neither slots nor other pages", async () => {
      const rig = await openRig(format);
      const [pages, slots] = [await rig.readPages(), rig.copyOfSlots()];
      const job = loadJob([8, 1, 11, 4].map((blockId, place) => [2, place, blockId]));
      expect(await rig.run({ loads: [job] })).toEqual([4]);
      [8, 1, 11, 4].forEach((blockId, place) => {
        pages[blockId] = rig.place(2, place);
      });
      expectSame(await rig.readPages(), pages);
      expectSame(rig.slots, slots);
    });

    it("gives a stored chunk back to other blocks", async () => {
      const rig = await openRig(format);
      const pages = await rig.readPages();
      await rig.run({ stores: [storeJob([1, 2, 3, 4], 0)] });
      await rig.run({ loads: [loadJob([6, 7, 8, 9].map((blockId, place) => [0, place, blockId]))] });
      pages.splice(6, 4, ...pages.slice(1, 5));
      expectSame(await rig.readPages(), pages);
    });
  });
});

describe.skipIf(!dawn)("a transfer of several groups", () => {
  it("loads whole chunks of one group, nothing of the next, and one from the middle of a chunk in a third", async () => {
    const rig = await openRig();
    const pages = await rig.readPages();
    const whole = [3, 4, 5, 6].map((blockId, place): [number, number, number] => [0, place, blockId]);
    const middle: [number, number, number][] = [
      [3, 2, 9],
      [3, 3, 10],
      [1, 0, 11],
    ];
    const jobs = [loadJob(whole), loadJob([]), loadJob(middle), loadJob([[2, 1, 7]])];
    expect(await rig.run({ loads: jobs })).toEqual([4, 0, 3, 1]);
    for (const [slotId, place, blockId] of [...whole, ...middle, [2, 1, 7]]) pages[blockId] = rig.place(slotId, place);
    expectSame(await rig.readPages(), pages);
  });

  it("stores a chunk of each group in one step, one of fewer blocks among them, and reports every job by its id", async () => {
    const rig = await openRig();
    const [pages, slots] = [await rig.readPages(), rig.copyOfSlots()];
    const stores = [storeJob([1, 2, 3, 4], 2), storeJob([11], 0), storeJob([8, 7, 6, 5], 3)];
    const loads = [loadJob([[1, 3, 9]])];
    const results = await Promise.all(rig.transfers.submit({ stores, loads }));
    expect(results).toEqual(
      [...stores, ...loads].map(({ jobId }, index) => ({ jobId, epoch: EPOCH, numBlocks: [4, 1, 4, 1][index] })),
    );
    slots[2] = concat(pages.slice(1, 5));
    slots[0].set(pages[11]);
    slots[3] = concat([8, 7, 6, 5].map((blockId) => pages[blockId]));
    expectSame(rig.slots, slots);
  });
});

describe.skipIf(!dawn)("the order of the queue", () => {
  const OLD = 1;
  const BLOCK = 6;

  it.each([
    { order: ["write 2", "store", "write 3"], stored: 2 },
    { order: ["store", "write 2", "write 3"], stored: OLD },
    { order: ["write 2", "write 3", "store"], stored: 3 },
  ])("a store orders after compute writes and before later ones: $order stores $stored", async ({ order, stored }) => {
    const rig = await openRig();
    rig.writePage(BLOCK, rig.pageOf(OLD));
    const acts = order.map((act) => {
      if (act === "store") return rig.run({ stores: [storeJob([BLOCK], 0)] });
      return fillPages(rig, BLOCK, Number(act.slice("write ".length)));
    });
    expect((await Promise.all(acts)).flatMap((numBlocks) => numBlocks ?? [])).toEqual([1]);
    expect(rig.place(0, 0)).toEqual(rig.pageOf(stored));
    expect((await rig.readPages())[BLOCK]).toEqual(rig.pageOf(3));
  });

  it.each([
    { order: ["write", "load"], loaded: true },
    { order: ["load", "write"], loaded: false },
  ])("a load waits for the compute writes that are pending: $order leaves the loaded page: $loaded", async (each) => {
    const rig = await openRig();
    for (const act of each.order) {
      if (act === "load") expect(await rig.run({ loads: [loadJob([[1, 2, BLOCK]])] })).toEqual([1]);
      else fillPages(rig, BLOCK, 2);
    }
    expect((await rig.readPages())[BLOCK]).toEqual(each.loaded ? rig.place(1, 2) : rig.pageOf(2));
  });

  it("a page that the same step loads into is stored as it was before", async () => {
    const rig = await openRig();
    const pages = await rig.readPages();
    const loads = [loadJob([[1, 0, BLOCK]]), loadJob([[1, 1, 2]])];
    expect(await rig.run({ stores: [storeJob([BLOCK, 2], 0)], loads })).toEqual([2, 1, 1]);
    expectSame([rig.place(0, 0), rig.place(0, 1)], [pages[BLOCK], pages[2]]);
    const after = await rig.readPages();
    expectSame([after[BLOCK], after[2]], [rig.place(1, 0), rig.place(1, 1)]);
  });
});

describe.skipIf(!dawn)("the staging ring", () => {
  it("has its slots free again when their stores have ended", async () => {
    const rig = await openRig({ numStagingSlots: 2 });
    const pages = await rig.readPages();
    for (let round = 0; round < 5; round++) {
      const [a, b] = [1 + 2 * round, 2 + 2 * round];
      expect(await rig.run({ stores: [storeJob([a], 0), storeJob([b], 1)] })).toEqual([1, 1]);
      expectSame([rig.place(0, 0), rig.place(1, 0)], [pages[a], pages[b]]);
    }
  });

  it("of one slot, with late maps: a store at a time, each with the bytes of its submit", async () => {
    let numMaps = 0;
    const delayMap = async () => {
      await new Promise((done) => setTimeout(done, 50));
      numMaps++;
    };
    const rig = await openRig({ numStagingSlots: 1, delayMap });
    const slots = rig.copyOfSlots();
    for (const byte of [1, 2, 3]) {
      rig.writePage(5, rig.pageOf(byte));
      const stored = rig.run({ stores: [storeJob([5], byte)] });
      rig.writePage(5, rig.pageOf(99));
      await expect(rig.run({ stores: [storeJob([5], 0)] })).rejects.toMatchObject({ code: "internal" });
      await rig.gpu.device.queue.onSubmittedWorkDone();
      expect(rig.slots[byte]).toEqual(slots[byte]);
      expect(await stored).toEqual([1]);
      expect(numMaps).toBe(byte);
      expect(rig.place(byte, 0)).toEqual(rig.pageOf(byte));
    }
    expect(rig.slots[0]).toEqual(slots[0]);
  });
});

describe.skipIf(!dawn)("a store fails, and its host slot stays as it was,", () => {
  it("where the staging slot has the id of another job", async () => {
    const rig = await openRig({ numStagingSlots: 1 });
    await rig.run({ stores: [storeJob([1, 2, 3, 4], 0)] });
    const slots = rig.copyOfSlots();
    // The GPU refuses the submit, so that the chunk of the job before is still there.
    rig.gpu.device.pushErrorScope("validation");
    expect(await rig.run({ stores: [storeJob([1, 2, 1000, 4], 1)] })).toEqual([0]);
    expect(await rig.gpu.device.popErrorScope()).not.toBeNull();
    expectSame(rig.slots, slots);
    expect(await rig.run({ stores: [storeJob([1], 1)] })).toEqual([1]);
  });

  it("where nothing was copied into the staging slot, be it for job 0 of epoch 0", async () => {
    const rig = await openRig();
    const slots = rig.copyOfSlots();
    const ring = new StagingRing(gpu.device, rig.buffers, rig.pageBytes, 1, null);
    const job = { jobId: 0, epoch: 0 };
    const [staging] = ring.take([job], gpu.device.createCommandEncoder());
    expect(await ring.read(staging, job, rig.pageBytes, () => rig.slots[0])).toBe(false);
    expectSame(rig.slots, slots);
  });

  it("where the job is of another device epoch", async () => {
    const rig = await openRig({ numStagingSlots: 1 });
    const [pages, slots] = [await rig.readPages(), rig.copyOfSlots()];
    const old = { epoch: EPOCH - 1 };
    const step = { stores: [storeJob([1], 0, old), storeJob([2], 1)], loads: [loadJob([[2, 0, 5]], old)] };
    const results = await Promise.all(rig.transfers.submit(step));
    expect(results.map(({ epoch, numBlocks }) => [epoch, numBlocks])).toEqual([
      [EPOCH - 1, 0],
      [EPOCH, 1],
      [EPOCH - 1, 0],
    ]);
    slots[1].set(pages[2]);
    expectSame(rig.slots, slots);
    expectSame(await rig.readPages(), pages);
  });

  it("where the device was lost before the map", async () => {
    const rig = await openRig({}, (await openDawn()) as GpuDevice);
    const slots = rig.copyOfSlots();
    const stored = rig.run({ stores: [storeJob([1], 0), storeJob([2], 1)] });
    rig.gpu.device.destroy();
    expect(await stored).toEqual([0, 0]);
    expectSame(rig.slots, slots);
    expect(await rig.run({ stores: [storeJob([1], 0)] })).toEqual([0]);
  });

  it("where the device was lost before a late map is looked at, though its bytes are there: the slot may be another's by then", async () => {
    const [delay, loss] = [deferred(), deferred<GPUDeviceLostInfo>()];
    const health = new DeviceHealth({ addEventListener: () => {}, lost: loss.promise } as unknown as GPUDevice);
    const rig = await openRig({ delayMap: () => delay.promise }, { ...(dawn as GpuDevice), health });
    const slots = rig.copyOfSlots();
    const stored = rig.run({ stores: [storeJob([1], 0)] });
    await rig.gpu.device.queue.onSubmittedWorkDone();
    loss.resolve({ reason: "unknown", message: "gone" } as GPUDeviceLostInfo);
    await loss.promise;
    delay.resolve();
    expect(await stored).toEqual([0]);
    expectSame(rig.slots, slots);
  });

  it("where buffers were destroyed while maps were late, which ends every store", async () => {
    let release = () => {};
    const delayed = new Promise<void>((done) => {
      release = done;
    });
    const rig = await openRig({ delayMap: () => delayed }, (await openDawn()) as GpuDevice);
    const slots = rig.copyOfSlots();
    const stored = rig.run({ stores: [storeJob([1], 0), storeJob([2], 1)] });
    await rig.gpu.device.queue.onSubmittedWorkDone();
    rig.buffers.destroyAll();
    release();
    expect(await stored).toEqual([0, 0]);
    expectSame(rig.slots, slots);
  });

  it("where an earlier command failed, which may have been the one that writes the blocks", async () => {
    const rig = await openRig({}, (await openDawn()) as GpuDevice);
    const slots = rig.copyOfSlots();
    const { device } = rig.gpu;
    device.queue.writeBuffer(rig.pool.planes[0].buffer, rig.pool.planes[0].buffer.size, new Uint8Array(16));
    expect(await rig.run({ stores: [storeJob([1], 0)] })).toEqual([0]);
    expectSame(rig.slots, slots);
    rig.buffers.destroyAll();
    device.destroy();
  });

  it("where the host slot has no memory", async () => {
    const rig = await openRig();
    expect(await rig.run({ stores: [storeJob([1], 77), storeJob([2], 0)] })).toEqual([0, 1]);
  });
});

describe.skipIf(!dawn)("a load whose host slot cannot be read", () => {
  it("ends there; the blocks before it arrived, and other jobs go on", async () => {
    const rig = await openRig();
    const pages = await rig.readPages();
    const broken = loadJob([
      [0, 0, 1],
      [0, 1, 2],
      [77, 0, 3],
      [0, 2, 4],
    ]);
    expect(await rig.run({ loads: [broken, loadJob([[1, 0, 5]])] })).toEqual([2, 1]);
    for (const [slotId, place, blockId] of [
      [0, 0, 1],
      [0, 1, 2],
      [1, 0, 5],
    ]) {
      pages[blockId] = rig.place(slotId, place);
    }
    expectSame(await rig.readPages(), pages);
  });
});

function concat(pages: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(pages.flatMap((page) => [...page]));
}
