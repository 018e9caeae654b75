import fc from "fast-check";
import { expect, test } from "vitest";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { Request } from "./request";
import { Scheduler } from "./scheduler";
import type { SchedulerOutput, StepResult } from "./scheduler-output";
import { type SampleScript, ShadowRunner } from "./shadow-runner.fixture";

const EOS = 0;
const SAMPLING = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: [0, 0] } as const;

const arbitraryRequest = fc.record({
  numPromptTokens: fc.integer({ min: 1, max: 90 }),
  maxTokens: fc.integer({ min: 1, max: 60 }),
  /** Step before which it arrives. */
  arrivalStep: fc.nat(30),
  /** Step before which it is aborted; null never. */
  abortStep: fc.option(fc.nat(80), { freq: 2 }),
});

const arbitraryRun = fc.record({
  windows: fc.array(fc.option(fc.integer({ min: 1, max: 40 }), { freq: 2 }), { minLength: 1, maxLength: 6 }),
  numBlocks: fc.integer({ min: 8, max: 60 }),
  maxNumRunning: fc.integer({ min: 1, max: 5 }),
  numSpareBudgetTokens: fc.nat(40),
  maxPrefillChunkTokens: fc.option(fc.integer({ min: 1, max: 40 })),
  maxModelLen: fc.integer({ min: 20, max: 120 }),
  maxInFlightSteps: fc.integer({ min: 1, max: 3 }),
  requests: fc.array(arbitraryRequest, { minLength: 1, maxLength: 8 }),
});

type Run = typeof arbitraryRun extends fc.Arbitrary<infer T> ? T : never;

/** About one id in 40 is EOS, one in 100 is not finite. */
const script: SampleScript = (requestId, position) => {
  const hash = (Math.imul(Number(requestId) * 1000 + position + 1, 2654435761) >>> 8) % 400;
  return { tokenId: hash % 40, finite: hash % 100 !== 99 };
};

/** What the request must have generated when nobody stops it. */
function expectedOutput(request: Request, maxModelLen: number): number[] {
  const output: number[] = [];
  while (output.length < request.maxTokens && request.numPromptTokens + output.length < maxModelLen) {
    const { tokenId, finite } = script(request.requestId, request.numPromptTokens + output.length);
    if (!finite) break;
    output.push(tokenId);
    if (tokenId === EOS) break;
  }
  return output;
}

function makeRequests(run: Run): Request[] {
  return run.requests.map(({ numPromptTokens, maxTokens }, i) => {
    const promptTokenIds = Array.from({ length: numPromptTokens }, (_, position) => 1000 + i + position);
    return new Request({ requestId: String(i), promptTokenIds, sampling: SAMPLING, maxTokens, eosTokenIds: [EOS] });
  });
}

function tryAdd(scheduler: Scheduler, request: Request): boolean {
  try {
    scheduler.addRequest(request);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^(context_length_exceeded|cache_too_small)$/) });
    return false;
  }
}

/** Plays a run to its end with up to `maxInFlightSteps` unprocessed steps; checks what must hold after each turn. */
function play(run: Run): { accepted: Request[]; numSteps: number } {
  const geometry = geometryWithWindows(run.windows);
  const { numBlocks, maxNumRunning, maxPrefillChunkTokens, maxModelLen } = run;
  const maxNumBatchedTokens = maxNumRunning + run.numSpareBudgetTokens;
  const options = { geometry, numBlocks, maxNumRunning, maxNumBatchedTokens, maxPrefillChunkTokens, maxModelLen };
  const scheduler = new Scheduler(options);
  const runner = new ShadowRunner(geometry, script);
  const requests = makeRequests(run);
  const accepted: Request[] = [];
  const inFlight: { output: SchedulerOutput; result: StepResult }[] = [];
  let numSteps = 0;
  // Each turn after the last arrival schedules a step or processes one, and a step computes at least one token.
  const maxTurns = 100 + 2 * requests.reduce((sum, request) => sum + request.maxNumFedTokens(maxModelLen), 0);

  for (let turn = 0; ; turn++) {
    expect(turn).toBeLessThanOrEqual(maxTurns);
    run.requests.forEach(({ arrivalStep, abortStep }, i) => {
      if (arrivalStep === turn && tryAdd(scheduler, requests[i])) accepted.push(requests[i]);
      if (abortStep === turn) scheduler.abort(String(i));
    });
    const output = inFlight.length < run.maxInFlightSteps ? scheduler.schedule() : null;
    if (output) {
      numSteps += 1;
      expect(output.numTokens).toBeLessThanOrEqual(maxNumBatchedTokens);
      inFlight.push({ output, result: runner.run(output) });
    } else if (inFlight.length > 0) {
      const { output: oldest, result } = inFlight.shift()!;
      scheduler.update(oldest, result);
    } else {
      // Nothing runs, nothing is in flight: then nothing waits.
      expect(scheduler.hasUnfinished).toBe(false);
      if (run.requests.every(({ arrivalStep }) => arrivalStep <= turn)) break;
    }
    scheduler.checkIntegrity();
  }
  expect(scheduler.numFreeBlocks).toBe(numBlocks - 1);
  expect(scheduler.numRunning + scheduler.numWaiting).toBe(0);
  return { accepted, numSteps };
}

test("every run ends, loses no block, reads only what was written for it, and gives the ids of alone", () => {
  const seen = { aborted: 0, stopped: 0, full: 0, notFinite: 0, refused: 0 };
  fc.assert(
    fc.property(arbitraryRun, (run) => {
      const { accepted, numSteps } = play(run);
      const numFedTokens = accepted.reduce((sum, request) => sum + request.maxNumFedTokens(run.maxModelLen), 0);
      expect(numSteps).toBeLessThanOrEqual(numFedTokens);
      for (const request of accepted) {
        const expected = expectedOutput(request, run.maxModelLen);
        expect(request.status).toBe("finished");
        if (request.finishReason === "abort") {
          expect(request.outputTokenIds).toEqual(expected.slice(0, request.outputTokenIds.length));
        } else {
          expect(request.outputTokenIds).toEqual(expected);
        }
        seen.aborted += Number(request.finishReason === "abort");
        seen.stopped += Number(request.finishReason === "stop");
        seen.full += Number(request.finishReason === "length");
        seen.notFinite += Number(request.finishReason === "error");
      }
      seen.refused += run.requests.length - accepted.length;
    }),
    { numRuns: 600 },
  );
  for (const [name, count] of Object.entries(seen)) expect(count, name).toBeGreaterThan(10);
});
