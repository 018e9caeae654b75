import { describe, expect, test } from "vitest";
import { DEFAULT_OPTIONS, type SimulatorOptions } from "./options";
import { formatReport, makeReport } from "./report";
import { simulate } from "./simulator";
import type { TraceRequest } from "./trace";

const OPTIONS: SimulatorOptions = {
  ...DEFAULT_OPTIONS,
  ...{ numBlocks: 11, maxNumRunning: 4, maxNumBatchedTokens: 64, admissionWatermark: 0 },
  ...{ stepMs: 8, tokenMs: 1, contextTokenMs: 0.25, readbackMs: 3 },
};

function traced(timestampMs: number, numPromptTokens: number, numOutputTokens: number, hashId: number): TraceRequest {
  return { timestampMs, numPromptTokens, numOutputTokens, hashIds: [hashId] };
}

function run(trace: readonly TraceRequest[], options: Partial<SimulatorOptions>) {
  const all = { ...OPTIONS, ...options };
  return makeReport(simulate(trace, all), all, 0);
}

function all(value: number) {
  return { p50: value, p90: value, p99: value, max: value };
}

describe("one request of 40 tokens and 3 ids: a prefill of 8 + 40 + 120/4 ms, decodes of 19.25 and 19.5 ms", () => {
  test("one step in flight: the read-back of 3 ms lies between any two steps", () => {
    const report = run([traced(0, 40, 3, 7)], { maxInFlightSteps: 1 });
    expect(report.timeToFirstTokenMs).toEqual(all(81));
    expect(report.interTokenMs).toEqual({ p50: 22.25, p90: 22.5, p99: 22.5, max: 22.5 });
    expect(report.durationMs).toBe(78 + 19.25 + 19.5 + 3 * 3);
    expect(report.throughput.busyShare).toBe(116.75 / 125.75);
  });

  test("two in flight: the GPU goes on at once, and only the last read-back is waited for", () => {
    const report = run([traced(0, 40, 3, 7)], { maxInFlightSteps: 2 });
    expect(report.timeToFirstTokenMs).toEqual(all(81));
    expect(report.interTokenMs).toEqual({ p50: 19.25, p90: 19.5, p99: 19.5, max: 19.5 });
    expect(report.durationMs).toBe(78 + 19.25 + 19.5 + 3);
    expect(report.throughput.busyShare).toBe(116.75 / 119.75);
  });
});

// The second prompt equals the first: of its 40 tokens it finds two blocks of 16.
const TWINS = [traced(0, 40, 2, 7), traced(50, 40, 2, 7)];

describe("a second request with the same prompt, 50 ms later", () => {
  test("one step in flight: the second begins beside the first one's decode", () => {
    // Steps: [0, 78] prefill; [81, 118.25] one decode and 8 tokens behind the hit, context 41 + 40; [121.25, 140.5] decode.
    const report = run(TWINS, { maxInFlightSteps: 1 });
    expect(report).toEqual({
      options: { ...OPTIONS, maxInFlightSteps: 1 },
      requests: { numFinished: 2, numRefused: {} },
      durationMs: 143.5,
      throughput: {
        promptTokensPerSecond: 80_000 / 143.5,
        outputTokensPerSecond: 4000 / 143.5,
        busyShare: (78 + 37.25 + 19.25) / 143.5,
      },
      timeToFirstTokenMs: { p50: 71.25, p90: 81, p99: 81, max: 81 },
      interTokenMs: { p50: 22.25, p90: 40.25, p99: 40.25, max: 40.25 },
      queueMs: { p50: 0, p90: 31, p99: 31, max: 31 },
      prefixCache: {
        numHitBlocks: 2,
        numPromptBlocks: 6,
        blockHitRate: 2 / 6,
        numHitTokens: 32,
        numPromptTokens: 80,
        tokenHitRate: 32 / 80,
      },
      offload: null,
      memory: {
        numUsableBlocks: 10,
        pageBytes: 524_288,
        peakBlocks: 4,
        meanBlocks: (3 * 81 + 4 * 40.25 + 3 * 22.25) / 143.5,
        peakBytes: 4 * 524_288,
        meanBytes: ((3 * 81 + 4 * 40.25 + 3 * 22.25) / 143.5) * 524_288,
      },
      scheduler: {
        numSteps: 3,
        numPreemptions: 0,
        numScheduledTokens: 50,
        tokensPerStep: 50 / 3,
        requestsVisitedPerStep: expect.any(Number),
        blocksVisitedPerStep: expect.any(Number),
      },
      wall: { ms: 0, microsecondsPerStep: 0 },
    });
  });

  test("two in flight: the first one's decode goes before it arrives, and the second is admitted at 81 ms", () => {
    // Steps: [0, 78], [78, 97.25] the first; [97.25, 123.25] 8 tokens behind the hit; [123.25, 142.5] decode.
    const report = run(TWINS, { maxInFlightSteps: 2 });
    expect(report).toMatchObject({
      durationMs: 145.5,
      timeToFirstTokenMs: { p50: 76.25, max: 81 },
      interTokenMs: all(19.25),
      queueMs: { p50: 0, max: 31 },
      memory: { peakBlocks: 4, meanBlocks: (3 * 81 + 4 * 19.25 + 3 * 45.25) / 145.5 },
      scheduler: { numSteps: 4, numScheduledTokens: 50 },
    });
  });

  test("without the prefix cache, or with other hash ids, nothing is hit", () => {
    const others = [TWINS[0], traced(50, 40, 2, 8)];
    for (const report of [run(TWINS, { usePrefixCache: false }), run(others, {})]) {
      expect(report.prefixCache.numHitBlocks).toBe(0);
      expect(report.scheduler.numScheduledTokens).toBe(82);
    }
  });

  test("timeScale stretches arrivals; the clock begins at the first", () => {
    const report = run([traced(10, 40, 1, 7), traced(60, 40, 1, 8)], { timeScale: 4, pageBytes: 1000 });
    expect(report.queueMs).toEqual(all(0));
    expect(report.timeToFirstTokenMs).toEqual(all(81));
    expect(report.durationMs).toBe(4 * 50 + 81);
    expect(report.memory).toMatchObject({ peakBlocks: 3, peakBytes: 3000, meanBlocks: (3 * 162) / 281 });
  });
});

test("what can never fit is refused and counted, and the others go on", () => {
  const trace = [traced(0, 200, 1, 1), traced(0, 40, 1, 2), traced(0, 120, 1, 3)];
  const report = run(trace, { maxModelLen: 180, numBlocks: 5 });
  expect(report.requests).toEqual({ numFinished: 1, numRefused: { context_length_exceeded: 1, cache_too_small: 1 } });
  expect(formatReport(report)).toContain("context_length_exceeded: 1, cache_too_small: 1");
});

test("an unlimited pool holds every block of every request, and no request waits for blocks", () => {
  const trace = Array.from({ length: 4 }, (_, i) => traced(0, 50, 2, i));
  const report = run(trace, { numBlocks: null, maxNumBatchedTokens: 400, admissionWatermark: 1 });
  expect(report.memory).toMatchObject({ numUsableBlocks: 4 * 4, peakBlocks: 4 * 4 });
  expect(report.queueMs).toEqual(all(0));
});

test("an empty trace gives a report without samples", () => {
  const report = run([], {});
  expect(report).toMatchObject({ durationMs: 0, timeToFirstTokenMs: null, throughput: { busyShare: 0 } });
  expect(formatReport(report)).toContain("time to first token, ms   none");
});

test("the report for a reader", () => {
  const text = formatReport(makeReport(simulate(TWINS, OPTIONS), OPTIONS, 1.5));
  expect(text.split("\n").filter((line) => !line.includes("visited"))).toEqual([
    "requests finished         2",
    "requests refused          0",
    "simulated time            0.146 s, the GPU busy 97.9 %",
    "prompt tokens/s           549.8",
    "output tokens/s           27.5",
    "time to first token, ms   p50 76.3, p90 81, p99 81, max 81",
    "between tokens, ms        p50 19.3, p90 19.3, p99 19.3, max 19.3",
    "in the queue, ms          p50 0, p90 31, p99 31, max 31",
    "full blocks hit           2, 33.3 % of prompt blocks",
    "prompt tokens hit         32, 40.0 %",
    "preemptions               0",
    "steps                     4 of 12.5 tokens",
    "blocks in use             peak 4, mean 3.132 of 10",
    "memory in use, MiB        peak 2, mean 1.566",
    "wall time                 0.002 s, 375 microseconds a step",
  ]);
});
