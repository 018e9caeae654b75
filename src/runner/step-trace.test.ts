import { afterEach, expect, it, vi } from "vitest";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { loadJob, storeJob } from "./kv-transfers.fixture";
import { drawStep } from "./step-trace";

afterEach(() => vi.restoreAllMocks());

const REQUEST = {
  requestId: "request",
  row: 0,
  startPosition: 0,
  numTokens: 5,
  tokens: { kind: "ids", ids: [1, 2, 3, 4, 5] },
  blockTableUpdates: [],
  samples: true,
} as const;
const STORES = [storeJob([1, 2], 0), storeJob([3, 4], 1), storeJob([5, 6], 2)];
const [ONE_BLOCK, TWO_BLOCKS] = [
  loadJob([[0, 0, 1]]),
  loadJob([
    [1, 0, 2],
    [1, 1, 3],
  ]),
];

it.each<[string, Omit<SchedulerOutput, "stepIndex" | "newRows" | "numTokens">]>([
  ["step 7: 5 tokens, 1 request", { scheduled: [REQUEST], transfers: { stores: [], loads: [] } }],
  [
    "step 7: 3 stores, 3 blocks loaded",
    { scheduled: [], transfers: { stores: STORES, loads: [ONE_BLOCK, TWO_BLOCKS] } },
  ],
  [
    "step 7: 10 tokens, 2 requests, 1 store, 1 block loaded",
    { scheduled: [REQUEST, REQUEST], transfers: { stores: [STORES[0]], loads: [ONE_BLOCK] } },
  ],
])("draws %s", (name, output) => {
  const measure = vi.spyOn(performance, "measure");
  drawStep({ stepIndex: 7, newRows: [], numTokens: 5 * output.scheduled.length, ...output }, 10, 20);
  expect(measure).toHaveBeenCalledWith(name, expect.objectContaining({ start: 10, end: 20 }));
});
