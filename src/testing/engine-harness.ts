import type { Engine } from "../engine/engine";
import { type LoadedParts, loadEngineParts } from "../engine/load-engine";
import { BLOCK_SIZE } from "../kv/geometry";
import type { EngineInit } from "../protocol/messages";
import { engineOver, generateGreedy, type OpenEngine, untilIdle } from "./engine-over";
import type { GoldenBounds, GoldenJob, GoldenMode } from "./golden-job";
import { loadPart } from "./lazy-parts";
import { logitRows } from "./logit-rows";

/** An engine whose logits can be seen, driven by ids. */
export class EngineHarness {
  readonly parts: LoadedParts;
  /** Logits at the last prompt position of each request. */
  readonly #firstLogits: Map<string, Float32Array>;

  private constructor(parts: LoadedParts, firstLogits: Map<string, Float32Array>) {
    this.parts = parts;
    this.#firstLogits = firstLogits;
  }

  static async open(gpu: GPU, init: EngineInit): Promise<EngineHarness> {
    const firstLogits = new Map<string, Float32Array>();
    const parts = await loadEngineParts(init, {
      gpu,
      onProgress: () => {},
      loadPart,
      signal: new AbortController().signal,
      observeLogits: (output, logits) => {
        for (const [requestId, row] of logitRows(output, logits)) {
          if (!firstLogits.has(requestId)) firstLogits.set(requestId, row);
        }
      },
    });
    return new EngineHarness(parts, firstLogits);
  }

  /** Checks all jobs in a mode, from an empty cache; returns what is wrong, in words. */
  async checkGoldens(jobs: readonly GoldenJob[], bounds: GoldenBounds, mode: GoldenMode): Promise<string[]> {
    const problems: string[] = [];
    await this.#runAll(jobs, mode, async (job, { engine }) => {
      if (mode.cached) await generateGreedy(engine, job.promptIds, { maxTokens: 1 });
      problems.push(...(await this.#check(job, bounds, engine, mode.cached)));
    });
    return problems;
  }

  /** The greedy ids of each job, as many as its golden ones, without regard to these. */
  async generateAll(jobs: readonly GoldenJob[], mode: GoldenMode): Promise<Record<string, readonly number[]>> {
    const idsByName: Record<string, readonly number[]> = {};
    await this.#runAll(jobs, mode, async ({ name, promptIds, greedyIds }, { engine }) => {
      idsByName[name] = (await generateGreedy(engine, promptIds, { maxTokens: greedyIds.length })).tokenIds;
    });
    return idsByName;
  }

  async #runAll(
    jobs: readonly GoldenJob[],
    { chunk, concurrency, maxInFlightSteps, cached }: GoldenMode,
    run: (job: GoldenJob, open: OpenEngine) => Promise<void>,
  ): Promise<void> {
    const options = { maxPrefillChunkTokens: chunk, maxInFlightSteps, usePrefixCache: cached };
    const open = engineOver(this.parts, options);
    const waiting = [...jobs];
    const work = async () => {
      for (let job = waiting.shift(); job; job = waiting.shift()) await run(job, open);
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    await untilIdle(open.scheduler);
    this.#firstLogits.clear();
  }

  /**
   * Every step whose gap is at least the bound must give the golden id. After a step with a smaller gap, which may come
   * out otherwise, the run starts anew on the golden ids up to and including it.
   */
  async #check(
    { name, promptIds, greedyIds, topLogits, stepGaps }: GoldenJob,
    bounds: GoldenBounds,
    engine: Engine,
    cached: boolean,
  ): Promise<string[]> {
    const problems: string[] = [];
    let begin = 0;
    while (begin < greedyIds.length) {
      const uncertain = stepGaps.findIndex((gap, step) => step >= begin && gap < bounds.gap);
      const end = uncertain < 0 ? greedyIds.length : uncertain;
      const requestId = crypto.randomUUID();
      const maxTokens = Math.max(1, end - begin);
      const prompt = [...promptIds, ...greedyIds.slice(0, begin)];
      const { tokenIds, cachedTokens } = await generateGreedy(engine, prompt, { requestId, maxTokens });
      const expected = greedyIds.slice(begin, end);
      const wrong = expected.findIndex((id, index) => tokenIds[index] !== id);
      if (wrong >= 0) {
        problems.push(`${name}: step ${begin + wrong} gave ${tokenIds[wrong]}, golden ${expected[wrong]}`);
      }
      if (begin === 0) {
        const firstLogits = this.#firstLogits.get(requestId);
        const errors = topLogits.map(([tokenId, logit]) => Math.abs((firstLogits?.[tokenId] ?? Number.NaN) - logit));
        const worst = Math.max(0, ...errors);
        if (!(worst <= bounds.logit)) problems.push(`${name}: a logit is off by ${worst}`);
        const numCachable = cached ? promptIds.length - 1 - ((promptIds.length - 1) % BLOCK_SIZE) : 0;
        if (cachedTokens !== numCachable) problems.push(`${name}: ${cachedTokens} cached, not ${numCachable}`);
      }
      begin = end + 1;
    }
    return problems;
  }

  dispose(): void {
    this.parts.runner.dispose();
  }
}
