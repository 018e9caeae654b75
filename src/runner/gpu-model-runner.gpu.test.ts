import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PipelineCache } from "../gpu/pipeline-cache";
import type { Op } from "../models/step-shape";
import type { StepTransfers } from "../offload/transfer-job";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { openDawn } from "../testing/gpu";
import { GpuModelRunner, type GpuModelRunnerParts } from "./gpu-model-runner";
import { expectSame, loadJob, storeJob, TransferRig } from "./kv-transfers.fixture";
import { allocateStepState } from "./step-state";

const hasDawn = (await openDawn()) !== null;

const SIZES = {
  maxTokens: 16,
  maxRows: 2,
  maxBlocksPerRow: 4,
  numGroups: 1,
  prefillTileTokens: 8,
  gemvUpToTokens: 0,
};

let rig: TransferRig;
let runner: GpuModelRunner;
/** Plane 0 as each run of the stages finds it. */
let seen: GPUBuffer;
/** Stages that ran. */
let numStageRuns = 0;
let stepIndex = 0;

/** A forward pass that looks at plane 0 and then fills it with the byte 1. */
function makeStages(): Op[] {
  const plane = rig.pool.planes[0].buffer;
  const ones = rig.buffers.storage("ones", plane.size);
  rig.gpu.device.queue.writeBuffer(ones, 0, new Uint8Array(plane.size).fill(1));
  seen = rig.buffers.storage("seen", plane.size);
  return [
    (encoder) => {
      numStageRuns++;
      encoder.copy(plane, seen, plane.size);
    },
    (encoder) => encoder.copy(ones, plane, plane.size),
  ];
}

async function makeRunner(parts: Partial<GpuModelRunnerParts> = {}): Promise<GpuModelRunner> {
  const { gpu, buffers } = rig;
  return GpuModelRunner.create({
    gpu,
    buffers,
    pipelines: new PipelineCache(gpu.device),
    variant: { f16: false, subgroups: false },
    sizes: SIZES,
    state: await allocateStepState(buffers, SIZES, 8),
    stages: makeStages(),
    logits: buffers.storage("logits", 64),
    vocabSize: 8,
    submitTargetMs: 300,
    maxInFlightSteps: 2,
    transfers: rig.transfers,
    profiler: null,
    drawStep: null,
    loadLogitStages: null,
    observeLogits: null,
    observeSteps: null,
    ...parts,
  });
}

function step(numTokens: 0 | 1, transfers: Partial<StepTransfers> = {}): SchedulerOutput {
  const request = {
    requestId: "request",
    row: 0,
    startPosition: 0,
    numTokens,
    tokens: { kind: "ids", ids: [1] } as const,
    blockTableUpdates: [],
    samples: false,
  };
  return {
    stepIndex: stepIndex++,
    newRows: [],
    scheduled: numTokens > 0 ? [request] : [],
    numTokens,
    transfers: { stores: [], loads: [], ...transfers },
  };
}

const numBlocksOf = async (transfers: ReturnType<GpuModelRunner["submit"]>["transfers"]) =>
  (await Promise.all(transfers)).map(({ numBlocks }) => numBlocks);

/** A block's page in a copy of plane 0; the rig has that plane alone. */
const pageIn = (plane: Uint8Array, blockId: number) =>
  plane.slice(blockId * rig.pageBytes, (blockId + 1) * rig.pageBytes);

beforeEach(async () => {
  const gpu = await openDawn();
  if (!gpu) return;
  numStageRuns = 0;
  rig = await TransferRig.open(gpu, { numPlanes: 1 });
  runner = await makeRunner();
});
afterEach(() => runner?.dispose());

describe.skipIf(!hasDawn)("GpuModelRunner with transfers", () => {
  it("stores what was there before the step writes, and has its loads there before it computes", async () => {
    const pages = await rig.readPages();
    const submitted = runner.submit(step(1, { stores: [storeJob([2, 3], 0)], loads: [loadJob([[1, 0, 3]])] }));
    expect(await numBlocksOf(submitted.transfers)).toEqual([2, 1]);
    await submitted.landed;
    expectSame([rig.place(0, 0), rig.place(0, 1)], [pages[2], pages[3]]);
    const plane = await rig.read(seen);
    expectSame([pageIn(plane, 2), pageIn(plane, 3)], [pages[2], rig.place(1, 0)]);
    expectSame([(await rig.readPages())[3]], [rig.pageOf(1)]);
  });

  it("stores what the step before wrote, while that one is in flight", async () => {
    const first = runner.submit(step(1));
    const second = runner.submit(step(1, { stores: [storeJob([4], 2)] }));
    expect(await numBlocksOf(second.transfers)).toEqual([1]);
    expectSame([rig.place(2, 0)], [rig.pageOf(1)]);
    await Promise.all([first.landed, second.landed]);
  });

  it("a step that only moves blocks runs no stage, and lands behind the steps before it", async () => {
    const pages = await rig.readPages();
    const landings: number[] = [];
    const outputs = [step(1), step(0, { stores: [storeJob([5], 0)], loads: [loadJob([[1, 0, 6]])] })];
    const submitted = outputs.map((output) => runner.submit(output));
    await Promise.all(submitted.map(async ({ landed }) => landings.push((await landed).stepIndex)));
    expect(landings).toEqual(outputs.map((output) => output.stepIndex));
    expect((await submitted[1].landed).sampled).toEqual([]);
    expect(await numBlocksOf(submitted[1].transfers)).toEqual([1, 1]);
    expect(numStageRuns).toBe(1);
    expectSame([rig.place(0, 0), (await rig.readPages())[6]], [rig.pageOf(1), rig.place(1, 0)]);
    expect(pages[6]).not.toEqual(rig.place(1, 0));
  });

  it("refuses transfers where nothing is offloaded", async () => {
    const plain = await makeRunner({ transfers: null });
    expect(() => plain.submit(step(0, { loads: [loadJob([[0, 0, 1]])] }))).toThrow(/no offload/);
    const { landed, transfers } = plain.submit(step(1));
    expect(transfers).toEqual([]);
    await landed;
  });

  it("disposed of while stores are in flight: each ends, with its bytes or without, and the memory is released", async () => {
    const slots = rig.copyOfSlots();
    const { landed, transfers } = runner.submit(step(0, { stores: [storeJob([1], 0), storeJob([2], 1)] }));
    runner.dispose();
    expect(rig.buffers.bytes).toBe(0);
    await expect(landed).rejects.toMatchObject({ code: "disposed" });
    expect(await numBlocksOf(transfers)).toEqual([0, 0]);
    expectSame(rig.slots, slots);
  });

  it.each(["disposed", "device_lost"])("moves nothing once it is %s, and says so of every job", async (code) => {
    if (code === "disposed") runner.dispose();
    else rig.gpu.device.destroy();
    await rig.gpu.device.lost;
    const { landed, transfers } = runner.submit(
      step(0, { stores: [storeJob([1], 0)], loads: [loadJob([[0, 0, 1]]), loadJob([])] }),
    );
    expect(await numBlocksOf(transfers)).toEqual([0, 0, 0]);
    await expect(landed).rejects.toMatchObject({ code });
  });
});
