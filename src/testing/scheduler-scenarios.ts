import { type LoadedParts, loadEngineParts } from "../engine/load-engine";
import type { EngineInit } from "../protocol/messages";
import type { StepEvent } from "../runner/step-trace";
import type { SchedulerStats } from "../scheduler/scheduler-stats";
import { engineOver, type GreedyOutcome, generateGreedy, numComputedFor, untilIdle } from "./engine-over";
import type { GoldenJob } from "./golden-job";
import { loadPart } from "./lazy-parts";

export interface SharedPrefixReport {
  /** Each from an empty cache. */
  readonly alone: readonly GreedyOutcome[];
  readonly together: readonly GreedyOutcome[];
  /** Of the scheduler that ran them together. */
  readonly stats: SchedulerStats;
}

export interface DisturbedReport {
  /** In the order of the jobs. */
  readonly outcomes: readonly GreedyOutcome[];
  readonly stats: SchedulerStats;
  /** The request that was aborted while its prompt was computed. */
  readonly aborted: GreedyOutcome;
  readonly numAbortedTokensComputed: number;
}

export interface TraceReport {
  readonly events: readonly StepEvent[];
  readonly tokenIds: readonly number[];
  /** From the landing of the first step to that of the last. */
  readonly msPerToken: number;
}

/**
 * Scenarios that run the same in Node and in a worker of a browser; all that comes out is plain data. No id ends a text,
 * so that every one has as many tokens as were asked for.
 */
export class SchedulerScenarios {
  readonly #parts: LoadedParts;
  readonly #events: StepEvent[];

  private constructor(parts: LoadedParts, events: StepEvent[]) {
    this.#parts = parts;
    this.#events = events;
  }

  static async open(gpu: GPU, init: EngineInit): Promise<SchedulerScenarios> {
    const events: StepEvent[] = [];
    const parts = await loadEngineParts(init, {
      gpu,
      onProgress: () => {},
      loadPart,
      signal: new AbortController().signal,
      observeSteps: (event) => events.push(event),
    });
    return new SchedulerScenarios({ ...parts, eosTokenIds: [] }, events);
  }

  /** Eight requests at once, with 400 tokens of the jobs' texts in common and 8 of their own. */
  async sharedPrefix(jobs: readonly GoldenJob[], maxTokens: number): Promise<SharedPrefixReport> {
    const text = textOf(jobs);
    const prompts = Array.from({ length: 8 }, (_, i) => [...text.slice(0, 400), ...text.slice(40 * i, 40 * i + 8)]);
    const alone: GreedyOutcome[] = [];
    for (const prompt of prompts) {
      const { engine, scheduler } = engineOver(this.#parts);
      alone.push(await generateGreedy(engine, prompt, { maxTokens }));
      await untilIdle(scheduler);
    }
    const { engine, scheduler } = engineOver(this.#parts);
    const together = await Promise.all(prompts.map((prompt) => generateGreedy(engine, prompt, { maxTokens })));
    await untilIdle(scheduler);
    return { alone, together, stats: scheduler.stats };
  }

  /** All jobs at once in a small pool, and before them a request that is aborted while two chunks of its prompt are in flight. */
  async abortAndPreempt(jobs: readonly GoldenJob[], numBlocks: number): Promise<DisturbedReport> {
    const options = { numBlocks, maxPrefillChunkTokens: 16, admissionWatermark: 0 };
    const { engine, scheduler, steps } = engineOver(this.#parts, options);
    const requestId = "aborted";
    const aborting = generateGreedy(engine, textOf(jobs).slice(0, 80), { requestId, maxTokens: 1 }, ({ kind }) => {
      if (kind === "started") engine.abort(requestId);
    });
    const outcomes = await Promise.all(
      jobs.map(({ promptIds, greedyIds }) => generateGreedy(engine, promptIds, { maxTokens: greedyIds.length })),
    );
    const aborted = await aborting;
    await untilIdle(scheduler);
    return { outcomes, stats: scheduler.stats, aborted, numAbortedTokensComputed: numComputedFor(requestId, steps) };
  }

  /** One request, with so many steps in flight. */
  async trace({ promptIds }: GoldenJob, maxInFlightSteps: number, maxTokens: number): Promise<TraceReport> {
    const { engine, scheduler } = engineOver(this.#parts, { maxInFlightSteps, usePrefixCache: false });
    this.#events.length = 0;
    const { tokenIds } = await generateGreedy(engine, promptIds, { maxTokens });
    await untilIdle(scheduler);
    const landed = this.#events.filter(({ kind }) => kind === "landed");
    const decodeMs = landed[landed.length - 1].timeMs - landed[0].timeMs;
    return { events: [...this.#events], tokenIds, msPerToken: decodeMs / (landed.length - 1) };
  }

  dispose(): void {
    this.#parts.runner.dispose();
  }
}

function textOf(jobs: readonly GoldenJob[]): number[] {
  return jobs.flatMap(({ promptIds, greedyIds }) => [...promptIds, ...greedyIds]);
}
