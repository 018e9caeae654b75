import { describe, expect, test } from "vitest";
import type { TransferResult } from "../offload/transfer-job";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { ModelledExecutor, makeStepResult, numContextTokensRead, stepCostMs, transferCostMs } from "./executor";

const COSTS = {
  ...{ stepMs: 8, tokenMs: 1, contextTokenMs: 0.25, readbackMs: 3 },
  ...{ copyInMsPerMiB: 2, copyOutMsPerMiB: 6, mapMs: 5 },
};
const PAGE_BYTES = 512 * 1024;

interface Entry {
  readonly startPosition: number;
  readonly numTokens: number;
  readonly samples?: boolean;
}

interface Copies {
  /** Blocks of each job. */
  readonly stores?: readonly number[];
  readonly loads?: readonly number[];
}

/** Stores are jobs 10, 11, ...; loads 20, 21, ... */
function step(stepIndex: number, entries: readonly Entry[], { stores = [], loads = [] }: Copies = {}): SchedulerOutput {
  const scheduled = entries.map(({ startPosition, numTokens, samples = true }, row) => ({
    requestId: `r${row}`,
    row,
    startPosition,
    numTokens,
    tokens: { kind: "last-sampled" } as const,
    blockTableUpdates: [],
    samples,
  }));
  const numTokens = entries.reduce((sum, entry) => sum + entry.numTokens, 0);
  const transfers = {
    stores: stores.map((numBlocks, i) => ({
      ...{ jobId: 10 + i, epoch: 3, key: `0/${i}`, slotId: i },
      blockIds: new Array<number>(numBlocks).fill(1),
    })),
    loads: loads.map((numBlocks, i) => ({
      ...{ jobId: 20 + i, epoch: 3 },
      blocks: new Array(numBlocks).fill({ slotId: 0, blockInChunk: 0, blockId: 1 }),
    })),
  };
  return { stepIndex, newRows: [], scheduled, numTokens, transfers };
}

function result(jobId: number, numBlocks: number): TransferResult {
  return { jobId, epoch: 3, numBlocks };
}

/** Reads 32 + 33 tokens of context: 8 + 2 + 16.25 ms. */
const DECODES: readonly Entry[] = [
  { startPosition: 31, numTokens: 1 },
  { startPosition: 32, numTokens: 1 },
];

test.each([
  [0, 1, 1],
  [99, 1, 100],
  [0, 8, 8],
  [0, 9, 8 + 9],
  [0, 20, 8 + 16 + 20],
  [100, 20, 108 + 116 + 120],
  [100, 16, 108 + 116],
])("from %i on, %i tokens read a context of %i", (startPosition, numTokens, expected) => {
  expect(numContextTokensRead(startPosition, numTokens)).toBe(expected);
});

test("a step costs itself, its tokens, and the context that they read", () => {
  expect(stepCostMs(step(0, [{ startPosition: 0, numTokens: 20 }]), COSTS)).toBe(8 + 20 + 44 / 4);
  expect(stepCostMs(step(0, DECODES), COSTS)).toBe(8 + 2 + 65 / 4);
});

describe("the clock", () => {
  test("alone, a step starts when it is submitted and its result comes after the read-back", () => {
    const executor = new ModelledExecutor(COSTS, PAGE_BYTES);
    expect(executor.nextResultMs).toBe(Number.POSITIVE_INFINITY);
    executor.submit(step(0, DECODES), 100);
    expect(executor.nextResultMs).toBe(100 + 26.25 + 3);
  });

  test("behind another, it starts when that one ended, and the read-back delays nothing", () => {
    const executor = new ModelledExecutor(COSTS, PAGE_BYTES);
    const steps = [step(0, DECODES), step(1, DECODES), step(2, DECODES)];
    executor.submit(steps[0], 0);
    executor.submit(steps[1], 5);
    expect(executor.nextResultMs).toBe(29.25);
    expect(executor.takeFinished(29.25)).toBe(steps[0]);
    expect(executor.nextResultMs).toBe(2 * 26.25 + 3);
    expect(executor.takeFinished(60)).toBe(steps[1]);
    executor.submit(steps[2], 60);
    expect(executor.nextResultMs).toBe(60 + 29.25);
    expect(executor.busyMs).toBe(3 * 26.25);
  });

  test("a result is not to be had before its time", () => {
    const executor = new ModelledExecutor(COSTS, PAGE_BYTES);
    executor.submit(step(0, DECODES), 0);
    expect(() => executor.takeFinished(29)).toThrow("no step has its result at 29 ms");
    executor.takeFinished(29.25);
    expect(() => executor.takeFinished(99)).toThrow("no step has its result at 99 ms");
  });
});

describe("copies of half a MiB a block: 3 ms out, 1 ms in", () => {
  test("a step's copies are paid by the block, stores and loads apart", () => {
    const { transfers } = step(0, [], { stores: [4, 1], loads: [2, 3] });
    expect(transferCostMs(transfers, COSTS, PAGE_BYTES)).toEqual({ storesMs: 15, loadsMs: 5 });
  });

  test("the step computes behind its copies; stores are there a map later, loads at once", () => {
    const executor = new ModelledExecutor(COSTS, PAGE_BYTES);
    executor.submit(step(0, DECODES, { stores: [4, 1], loads: [2, 3] }), 100);
    expect(executor.nextTransferMs).toBe(100);
    expect(executor.takeTransfers(100)).toEqual([result(20, 2), result(21, 3)]);
    expect(executor.nextTransferMs).toBe(100 + 15 + 5);
    expect(executor.takeTransfers(119)).toEqual([]);
    expect(executor.takeTransfers(120)).toEqual([result(10, 4), result(11, 1)]);
    expect(executor.nextTransferMs).toBe(Number.POSITIVE_INFINITY);
    expect(executor.nextResultMs).toBe(100 + 15 + 5 + 26.25 + 3);
    expect([executor.busyMs, executor.copyMs]).toEqual([46.25, 20]);
  });

  test("stores wait for the steps before theirs, not for what their own step computes", () => {
    const executor = new ModelledExecutor(COSTS, PAGE_BYTES);
    executor.submit(step(0, DECODES), 0);
    executor.submit(step(1, DECODES, { stores: [1] }), 1);
    expect(executor.nextTransferMs).toBe(26.25 + 3 + 5);
    executor.takeFinished(50);
    expect(executor.nextResultMs).toBe(26.25 + 3 + 26.25 + 3);
  });

  test("a step that only copies costs its copies and its read-back", () => {
    const executor = new ModelledExecutor(COSTS, PAGE_BYTES);
    expect(stepCostMs(step(0, []), COSTS)).toBe(0);
    executor.submit(step(0, [], { loads: [6] }), 10);
    expect(executor.nextResultMs).toBe(10 + 6 + 3);
  });
});

test("rows that sample get an id each, in the order of the batch", () => {
  const output = step(4, [
    { startPosition: 9, numTokens: 1 },
    { startPosition: 0, numTokens: 5, samples: false },
    { startPosition: 0, numTokens: 6 },
  ]);
  expect(makeStepResult(output, (requestId) => Number(requestId.slice(1)) + 50)).toEqual({
    stepIndex: 4,
    sampled: [
      { requestId: "r0", tokenId: 50, finite: true },
      { requestId: "r2", tokenId: 52, finite: true },
    ],
  });
});
