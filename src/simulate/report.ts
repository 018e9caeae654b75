import { exampleGeometry } from "./example-model";
import { formatOffload, makeOffloadReport } from "./offload-report";
import type { SimulatorOptions } from "./options";
import { mib, percent, ratio, show, showPercentiles } from "./report-numbers";
import type { SimulationResult } from "./simulator";

/** What a simulation gave, as JSON. Times are those of the virtual clock, but for `wall`. */
export type SimulationReport = ReturnType<typeof makeReport>;

/** `wallMs` is the time that the simulation itself took. */
export function makeReport(result: SimulationResult, options: SimulatorOptions, wallMs: number) {
  const { recorder, stats, busyMs, numUsableBlocks } = result;
  const { durationMs, numPromptTokens, numOutputTokens, peakBlocks, meanBlocks } = recorder;
  const { numSteps } = stats;
  const pageBytes = options.pageBytes ?? exampleGeometry(options.blockSize).pageBytes;
  return {
    options,
    requests: { numFinished: recorder.numFinished, numRefused: recorder.numRefused },
    durationMs,
    throughput: {
      promptTokensPerSecond: ratio(numPromptTokens * 1000, durationMs),
      outputTokensPerSecond: ratio(numOutputTokens * 1000, durationMs),
      busyShare: ratio(busyMs, durationMs),
    },
    timeToFirstTokenMs: recorder.timeToFirstTokenMs.percentiles(),
    interTokenMs: recorder.interTokenMs.percentiles(),
    queueMs: recorder.queueMs.percentiles(),
    prefixCache: {
      numHitBlocks: recorder.numHitBlocks,
      numPromptBlocks: recorder.numPromptBlocks,
      blockHitRate: ratio(recorder.numHitBlocks, recorder.numPromptBlocks),
      numHitTokens: recorder.numHitTokens,
      numPromptTokens,
      tokenHitRate: ratio(recorder.numHitTokens, numPromptTokens),
    },
    offload: makeOffloadReport(result, options.blockSize),
    memory: {
      numUsableBlocks,
      pageBytes,
      peakBlocks,
      meanBlocks,
      peakBytes: peakBlocks * pageBytes,
      meanBytes: meanBlocks * pageBytes,
    },
    scheduler: {
      numSteps,
      numPreemptions: stats.numPreemptions,
      numScheduledTokens: stats.numScheduledTokens,
      tokensPerStep: ratio(stats.numScheduledTokens, numSteps),
      requestsVisitedPerStep: ratio(stats.numRequestsVisited, numSteps),
      blocksVisitedPerStep: ratio(stats.numBlocksVisited, numSteps),
    },
    wall: { ms: wallMs, microsecondsPerStep: ratio(wallMs * 1000, numSteps) },
  };
}

/** The report for a reader: a line a figure. */
export function formatReport(report: SimulationReport): string {
  const { requests, durationMs, throughput, prefixCache, offload, memory, scheduler, wall } = report;
  const refusals = Object.entries(requests.numRefused).map(([code, number]) => `${code}: ${number}`);
  const lines: readonly (readonly [string, string])[] = [
    ["requests finished", show(requests.numFinished)],
    ["requests refused", refusals.join(", ") || "0"],
    ["simulated time", `${show(durationMs / 1000)} s, the GPU busy ${percent(throughput.busyShare)}`],
    ["prompt tokens/s", show(throughput.promptTokensPerSecond)],
    ["output tokens/s", show(throughput.outputTokensPerSecond)],
    ["time to first token, ms", showPercentiles(report.timeToFirstTokenMs)],
    ["between tokens, ms", showPercentiles(report.interTokenMs)],
    ["in the queue, ms", showPercentiles(report.queueMs)],
    ["full blocks hit", `${show(prefixCache.numHitBlocks)}, ${percent(prefixCache.blockHitRate)} of prompt blocks`],
    ["prompt tokens hit", `${show(prefixCache.numHitTokens)}, ${percent(prefixCache.tokenHitRate)}`],
    ...(offload ? formatOffload(offload) : []),
    ["preemptions", show(scheduler.numPreemptions)],
    ["steps", `${show(scheduler.numSteps)} of ${show(scheduler.tokensPerStep)} tokens`],
    [
      "blocks in use",
      `peak ${show(memory.peakBlocks)}, mean ${show(memory.meanBlocks)} of ${show(memory.numUsableBlocks)}`,
    ],
    ["memory in use, MiB", `peak ${mib(memory.peakBytes)}, mean ${mib(memory.meanBytes)}`],
    ["requests visited a step", show(scheduler.requestsVisitedPerStep)],
    ["blocks visited a step", show(scheduler.blocksVisitedPerStep)],
    ["wall time", `${show(wall.ms / 1000)} s, ${show(wall.microsecondsPerStep)} microseconds a step`],
  ];
  return lines.map(([label, value]) => `${label.padEnd(26)}${value}`).join("\n");
}
