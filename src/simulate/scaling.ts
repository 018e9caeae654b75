import { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";
import { exampleGeometry, makeRequest } from "./example-model";
import { makeStepResult } from "./executor";
import { Samples } from "./samples";

/** What a step of the scheduler costs while requests decode and others wait. */
export interface ScalingRow {
  readonly numRunning: number;
  readonly numWaiting: number;
  /** What those that wait are short of. */
  readonly shortOf: "rows" | "blocks";
  readonly requestsVisitedPerStep: number;
  readonly blocksVisitedPerStep: number;
  /** Median of schedule and update together, on this machine. */
  readonly microsecondsPerStep: number;
}

export type ScalingCase = Pick<ScalingRow, "numRunning" | "numWaiting" | "shortOf">;

const BLOCK_SIZE = 16;
const PROMPT_BLOCKS = 4;
/** A multiple of the block size, so that every running request takes equally many blocks. */
const NUM_MEASURED_STEPS = 20 * BLOCK_SIZE;
const NUM_WARM_UP_STEPS = 2 * BLOCK_SIZE;
const NUM_IN_FLIGHT = 2;
/** More than all steps take, so that nobody ends. */
const MAX_TOKENS = NUM_WARM_UP_STEPS + NUM_MEASURED_STEPS + 2 * BLOCK_SIZE;
const MAX_BLOCKS_PER_REQUEST = PROMPT_BLOCKS + MAX_TOKENS / BLOCK_SIZE;

/** 1 to 256 running, 0 to 10,000 waiting for a row or for blocks. */
export const SCALING_CASES: readonly ScalingCase[] = [
  ...[1, 4, 16, 64, 256].map((numRunning) => ({ numRunning, numWaiting: 0, shortOf: "rows" }) as const),
  ...[1, 100, 10_000].map((numWaiting) => ({ numRunning: 64, numWaiting, shortOf: "rows" }) as const),
  ...[1, 100, 10_000].map((numWaiting) => ({ numRunning: 64, numWaiting, shortOf: "blocks" }) as const),
];

/** Decodes `numRunning` requests over a few hundred steps, two in flight, while `numWaiting` others cannot begin. */
export function measureScaling({ numRunning, numWaiting, shortOf }: ScalingCase): ScalingRow {
  const numBlocks = 1 + numRunning * MAX_BLOCKS_PER_REQUEST;
  const scheduler = makeScheduler(shortOf === "rows" ? numRunning : numRunning + 1, numBlocks);
  for (let i = 0; i < numRunning; i++) {
    const promptTokenIds = new Array<number>(PROMPT_BLOCKS * BLOCK_SIZE).fill(i);
    scheduler.addRequest(makeRequest(`running-${i}`, promptTokenIds, MAX_TOKENS));
  }
  const loop = new DecodeLoop(scheduler);
  loop.run(NUM_WARM_UP_STEPS);
  // Needs all blocks but one: it fits the pool, but not beside any other.
  const longPrompt = new Array<number>((numBlocks - 2) * BLOCK_SIZE).fill(numRunning);
  for (let i = 0; i < numWaiting; i++) scheduler.addRequest(makeRequest(`waiting-${i}`, longPrompt, 1));

  const before = scheduler.stats;
  const stepMs = loop.run(NUM_MEASURED_STEPS);
  const after = scheduler.stats;
  const isSteady = scheduler.numRunning === numRunning && scheduler.numWaiting === numWaiting;
  assert(isSteady, () => `${scheduler.numRunning} run and ${scheduler.numWaiting} wait after the measured steps`);
  return {
    numRunning,
    numWaiting,
    shortOf,
    requestsVisitedPerStep: (after.numRequestsVisited - before.numRequestsVisited) / NUM_MEASURED_STEPS,
    blocksVisitedPerStep: (after.numBlocksVisited - before.numBlocksVisited) / NUM_MEASURED_STEPS,
    microsecondsPerStep: stepMs.percentiles()!.p50 * 1000,
  };
}

function makeScheduler(maxNumRunning: number, numBlocks: number): Scheduler {
  return new Scheduler({
    geometry: exampleGeometry(BLOCK_SIZE),
    numBlocks,
    maxNumRunning,
    maxNumBatchedTokens: maxNumRunning * PROMPT_BLOCKS * BLOCK_SIZE,
    maxPrefillChunkTokens: null,
    maxModelLen: numBlocks * BLOCK_SIZE,
    maxInFlightSteps: NUM_IN_FLIGHT,
    usePrefixCache: true,
    admissionWatermark: 0,
  });
}

/** Schedules a step and processes the one before it, over and over; its steps in flight stay for the next run. */
class DecodeLoop {
  readonly #scheduler: Scheduler;
  readonly #inFlight: SchedulerOutput[] = [];

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Returns how long the scheduler took for each step, in milliseconds. */
  run(numSteps: number): Samples {
    const stepMs = new Samples();
    for (let i = 0; i < numSteps; i++) {
      const startMs = performance.now();
      const output = this.#scheduler.schedule();
      assert(output, "nothing was scheduled while requests decode");
      this.#inFlight.push(output);
      if (this.#inFlight.length === NUM_IN_FLIGHT) {
        const oldest = this.#inFlight.shift()!;
        const result = makeStepResult(oldest, () => 0);
        this.#scheduler.update(oldest, result);
      }
      stepMs.add(performance.now() - startMs);
    }
    return stepMs;
  }
}
