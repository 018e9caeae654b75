import { Engine } from "../engine/engine";
import { type LoadedParts, loadEngineParts } from "../engine/load-engine";
import type { EngineInit } from "../protocol/messages";
import { Scheduler } from "../scheduler/scheduler";
import { CairnError } from "../util/errors";
import type { GoldenBounds, GoldenJob } from "./golden-job";
import { logitRows } from "./logit-rows";

export interface HarnessOutput {
  readonly tokenIds: readonly number[];
  /** Logits at the last prompt position. */
  readonly firstLogits: Float32Array;
}

/** An engine whose logits can be seen, driven by ids. */
export class EngineHarness {
  readonly #parts: LoadedParts;
  #engine: Engine;
  readonly #firstLogits: Map<string, Float32Array>;
  #numRequests = 0;

  private constructor(parts: LoadedParts, firstLogits: Map<string, Float32Array>) {
    this.#parts = parts;
    this.#engine = new Engine(parts);
    this.#firstLogits = firstLogits;
  }

  static async open(gpu: GPU, init: EngineInit): Promise<EngineHarness> {
    const firstLogits = new Map<string, Float32Array>();
    const parts = await loadEngineParts(init, {
      gpu,
      onProgress: () => {},
      signal: new AbortController().signal,
      observeLogits: (output, logits) => {
        for (const [requestId, row] of logitRows(output, logits)) {
          if (!firstLogits.has(requestId)) firstLogits.set(requestId, row);
        }
      },
    });
    return new EngineHarness(parts, firstLogits);
  }

  /** Cuts prompts into chunks of at most this many tokens from now on. Only while no request is live: the engine is made anew. */
  setPrefillChunk(maxPrefillChunkTokens: number | null): void {
    const scheduler = new Scheduler({ ...this.#parts.schedulerOptions, maxPrefillChunkTokens });
    this.#engine = new Engine({ ...this.#parts, scheduler });
  }

  /** Greedy ids after a prompt. Rejects with the request's error. */
  generate(tokenIds: readonly number[], maxTokens: number): Promise<HarnessOutput> {
    const requestId = `harness-${this.#numRequests++}`;
    const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: [0, 0] } as const;
    const ids: number[] = [];
    return new Promise((resolve, reject) => {
      this.#engine.generate(
        { requestId, input: { kind: "tokens", tokenIds }, maxTokens, stop: [], sampling },
        (event) => {
          if (event.kind === "delta") ids.push(...event.tokenIds);
          if (event.kind === "error") reject(CairnError.fromWire(event.error));
          if (event.kind === "done") {
            resolve({ tokenIds: ids, firstLogits: this.#firstLogits.get(requestId) ?? new Float32Array() });
            this.#firstLogits.delete(requestId);
          }
        },
      );
    });
  }

  /** Checks all jobs, `concurrency` at a time; returns what is wrong, in words. */
  async checkGoldens(jobs: readonly GoldenJob[], bounds: GoldenBounds, concurrency: number): Promise<string[]> {
    const waiting = [...jobs];
    const problems: string[] = [];
    const work = async () => {
      for (let job = waiting.shift(); job; job = waiting.shift()) problems.push(...(await this.#check(job, bounds)));
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    return problems;
  }

  /**
   * Every step whose gap is at least the bound must give the golden id. After a step with a smaller gap, which may come
   * out otherwise, the run starts anew on the golden ids up to and including it.
   */
  async #check(
    { name, promptIds, greedyIds, topLogits, stepGaps }: GoldenJob,
    bounds: GoldenBounds,
  ): Promise<string[]> {
    const problems: string[] = [];
    let begin = 0;
    while (begin < greedyIds.length) {
      const uncertain = stepGaps.findIndex((gap, step) => step >= begin && gap < bounds.gap);
      const end = uncertain < 0 ? greedyIds.length : uncertain;
      const { tokenIds, firstLogits } = await this.generate(
        [...promptIds, ...greedyIds.slice(0, begin)],
        Math.max(1, end - begin),
      );
      const expected = greedyIds.slice(begin, end);
      const wrong = expected.findIndex((id, index) => tokenIds[index] !== id);
      if (wrong >= 0) {
        problems.push(`${name}: step ${begin + wrong} gave ${tokenIds[wrong]}, golden ${expected[wrong]}`);
      }
      if (begin === 0) {
        const errors = topLogits.map(([tokenId, logit]) => Math.abs(firstLogits[tokenId] - logit));
        const worst = Math.max(0, ...errors);
        if (!(worst <= bounds.logit)) problems.push(`${name}: a logit is off by ${worst}`);
      }
      begin = end + 1;
    }
    return problems;
  }

  dispose(): void {
    this.#engine.dispose();
  }
}
