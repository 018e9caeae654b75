import { describe, expect, test } from "vitest";
import type { Request } from "../scheduler/request";
import type { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { ceilDiv } from "../util/math";
import { BLOCK_SIZE, type LoadsCase, MAX_NUM_RUNNING, measureLoads, PREFIX_BLOCKS, TAIL_TOKENS } from "./loads";
import { DEFAULT_OPTIONS } from "./options";

/**
 * The least and the most that a request with a row takes yet to its next output. A load that follows a preemption may
 * bring more than the prefix.
 */
function numBlocksToNextOutput(request: Request): { readonly least: number; readonly most: number } {
  const { status, numComputedTokens, numTokens, numPreemptions, numPromptTokens, maxTokens } = request;
  const numPrefixTokens = PREFIX_BLOCKS * BLOCK_SIZE;
  const numFullTokens = BLOCK_SIZE * Math.floor((numTokens - 1) / BLOCK_SIZE);
  const blocksBehind = (numDone: number) => {
    const numNext = Math.min(Math.max(numTokens, numDone) + 1, numPromptTokens + maxTokens - 1);
    return Math.max(0, ceilDiv(numNext, BLOCK_SIZE) - ceilDiv(numDone, BLOCK_SIZE));
  };
  if (status === "running") return { least: blocksBehind(numComputedTokens), most: blocksBehind(numComputedTokens) };
  const numDoneAtMost = numPreemptions > 0 ? numFullTokens : numPrefixTokens;
  return { least: blocksBehind(numDoneAtMost), most: blocksBehind(numPrefixTokens) };
}

/** Of a request that begins with a load. */
const NUM_BLOCKS_TO_BEGIN = ceilDiv(PREFIX_BLOCKS * BLOCK_SIZE + TAIL_TOKENS + 1, BLOCK_SIZE);

/**
 * Sorts the calls of `schedule` while requests wait that are not put off, but for those that took blocks from somebody,
 * had no step to give, or no token budget left: all places are taken, so that `MAX_NUM_RUNNING` run or load; or blocks are
 * short, because what is free beside the needs of those with a row does not hold another request; or a place is idle.
 */
class PlaceWatch {
  readonly numCalls = { full: 0, short: 0, idle: 0 };
  /** Calls that admitted somebody, after which the free blocks do not suffice for the needs of those with a row. */
  numOverAdmissions = 0;
  #firstUnfinished = 0;
  #numTaken = 0;
  #withRowBefore = new Set<Request>();

  readonly observe = (scheduler: Scheduler, requests: readonly Request[], output: SchedulerOutput | null): void => {
    const { numRunning, numLoading, numWaiting, numDeferred, numFreeBlocks, stats } = scheduler;
    const withRow = this.#withRow(requests, numRunning + numLoading);
    const needs = withRow.map(numBlocksToNextOutput);
    const numLeftAtMost = needs.reduce((left, { least }) => left - least, numFreeBlocks);
    const numLeftAtLeast = needs.reduce((left, { most }) => left - most, numFreeBlocks);
    const hasAdmitted = withRow.some((request) => !this.#withRowBefore.has(request));
    this.#withRowBefore = new Set(withRow);
    if (hasAdmitted && numLeftAtMost < 0) this.numOverAdmissions += 1;

    const numTaken = stats.numPreemptions + stats.numRevocations;
    const hasTaken = numTaken > this.#numTaken;
    this.#numTaken = numTaken;
    const isAsked = output !== null || scheduler.numInFlightSteps < DEFAULT_OPTIONS.maxInFlightSteps;
    if (hasTaken || !isAsked || numWaiting === numDeferred || !hasBudget(output)) return;
    if (withRow.length === MAX_NUM_RUNNING) this.numCalls.full += 1;
    else if (numLeftAtLeast < NUM_BLOCKS_TO_BEGIN) this.numCalls.short += 1;
    else this.numCalls.idle += 1;
  };

  #withRow(requests: readonly Request[], numWithRow: number): Request[] {
    while (requests[this.#firstUnfinished]?.status === "finished") this.#firstUnfinished += 1;
    const found: Request[] = [];
    for (let i = this.#firstUnfinished; found.length < numWithRow; i++) {
      if (requests[i].status === "running" || requests[i].status === "loading") found.push(requests[i]);
    }
    return found;
  }
}

function hasBudget(output: SchedulerOutput | null): boolean {
  if (output === null) return true;
  const numLoaded = output.transfers.loads.reduce((sum, { blocks }) => sum + blocks.length * BLOCK_SIZE, 0);
  return output.numTokens + numLoaded < DEFAULT_OPTIONS.maxNumBatchedTokens;
}

function watched(loadsCase: Omit<LoadsCase, "loadAdmission">) {
  const watch = new PlaceWatch();
  const row = measureLoads({ ...loadsCase, loadAdmission: "reserved" }, watch.observe);
  return { row, watch };
}

describe.each(["distinct", "half shared"] as const)(
  "loads that find room for all they need, %s prefixes",
  (prefixes) => {
    const few = watched({ numWaiting: 100, prefixes, poolRequests: MAX_NUM_RUNNING });
    const many = watched({ numWaiting: 10_000, prefixes, poolRequests: MAX_NUM_RUNNING });
    const roomy = watched({ numWaiting: 1000, prefixes, poolRequests: 2 * MAX_NUM_RUNNING });
    const tight = watched({ numWaiting: 1000, prefixes, poolRequests: MAX_NUM_RUNNING / 2 });

    test("all finish, and what waits together is loaded once", () => {
      for (const { row } of [few, many, roomy, tight])
        expect(row).toMatchObject({ numFinished: row.numWaiting, isStuck: false });
      expect(many.row.numLoads).toBe(prefixes === "distinct" ? 10_000 : 5500);
    });

    test("free blocks hold what those with a row need to their next output, whenever somebody is admitted", () => {
      for (const { row, watch } of [few, many, roomy, tight]) {
        expect(watch.numOverAdmissions).toBe(0);
        expect(row.numRevocations).toBe(0);
      }
    });

    test("nobody is preempted while a request that was admitted as a load has not run", () => {
      for (const { row } of [few, many, roomy, tight]) expect(row.numPreemptionsBesideLoads).toBe(0);
      expect(many.row.numPreemptions).toBe(0);
      expect(tight.row.numPreemptions).toBeGreaterThan(0);
    });

    test("no place stays idle while blocks suffice", () => {
      for (const { watch } of [few, many, roomy]) {
        expect(watch.numCalls).toEqual({ full: expect.any(Number), short: 0, idle: 0 });
        expect(watch.numCalls.full).toBeGreaterThan(0);
      }
      expect(tight.watch.numCalls).toEqual({ full: 0, short: expect.any(Number), idle: 0 });
      expect(tight.watch.numCalls.short).toBeGreaterThan(0);
      expect(many.row.peakRunningAndLoading).toBe(MAX_NUM_RUNNING);
      expect(many.row.meanRunningAndLoading).toBeGreaterThan(0.98 * MAX_NUM_RUNNING);
    });

    test("10,000 that wait cost a step at most twice as many looks at requests as 100", () => {
      expect(many.row.requestsVisitedPerStep).toBeLessThanOrEqual(2 * few.row.requestsVisitedPerStep);
    });
  },
);

test.each([100, 1000])("%i loads that nothing bounds take the pool, and are given up again", (numWaiting) => {
  const loadsCase = { numWaiting, prefixes: "distinct", poolRequests: MAX_NUM_RUNNING } as const;
  const unbounded = measureLoads({ ...loadsCase, loadAdmission: "unbounded" });
  expect(unbounded).toMatchObject({ numFinished: numWaiting, isStuck: false });
  expect(unbounded.peakRunningAndLoading).toBeGreaterThan(MAX_NUM_RUNNING);
  expect(unbounded.numRevocations).toBeGreaterThan(0);
  const counted = measureLoads({ ...loadsCase, loadAdmission: "counted", poolRequests: MAX_NUM_RUNNING / 2 });
  expect(counted).toMatchObject({ numFinished: numWaiting, isStuck: false, peakRunningAndLoading: MAX_NUM_RUNNING });
  expect(counted.numRevocations).toBeGreaterThan(0);
});
