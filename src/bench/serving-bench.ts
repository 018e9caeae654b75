import { type CairnEngine, createEngine } from "../index";
import type { Ablation } from "./ablations";
import { median } from "./statistics";

export interface BenchSizes {
  /** Of a prompt; in the workload with a shared prefix, of that prefix. */
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly concurrency: number;
  readonly repeats: number;
}

/** Medians over the repeats. */
export interface BenchResult {
  readonly name: string;
  /** Prompt tokens a second of one request, until its first output token. */
  readonly prefillTokensPerSecond: number;
  /** Output tokens a second of one request, after its first. */
  readonly decodeTokensPerSecond: number;
  /** Output tokens a second of all requests together, prefill included. */
  readonly batchTokensPerSecond: number;
  /** The same where all prompts begin with one prefix, which is new in every repeat. */
  readonly sharedPrefixTokensPerSecond: number;
  /** Milliseconds to the first token of a request among those, the median one. */
  readonly sharedPrefixTtftMs: number;
  /** Milliseconds to the first token of a prompt that was seen before and has left the GPU since. */
  readonly returningTtftMs: number;
  /** Bytes of that prompt's KV in RAM; milliseconds until it is all there after the first token, and of a prefetch from there. */
  readonly storedBytes: number;
  readonly storeMs: number;
  readonly loadMs: number;
}

/** Tokens of a prompt behind a shared prefix, and of its answer. */
const OWN_TOKENS = 16;

/** Loads an engine set up as the ablation says, runs the workload once to warm up, then `repeats` times. */
export async function runAblation(model: string, ablation: Ablation, sizes: BenchSizes): Promise<BenchResult> {
  await using engine = await createEngine({ model, ...ablation.options });
  const workload = new Workload(engine, sizes);
  const runs: Omit<BenchResult, "name">[] = [];
  for (let repeat = -1; repeat < sizes.repeats; repeat++) {
    const run = {
      ...(await workload.single()),
      ...(await workload.batch()),
      ...(await workload.sharedPrefix()),
      ...(await workload.returning()),
    };
    if (repeat >= 0) runs.push(run);
  }
  const medianOf = (measure: keyof (typeof runs)[number]) => median(runs.map((run) => run[measure]));
  return {
    name: ablation.name,
    prefillTokensPerSecond: medianOf("prefillTokensPerSecond"),
    decodeTokensPerSecond: medianOf("decodeTokensPerSecond"),
    batchTokensPerSecond: medianOf("batchTokensPerSecond"),
    sharedPrefixTokensPerSecond: medianOf("sharedPrefixTokensPerSecond"),
    sharedPrefixTtftMs: medianOf("sharedPrefixTtftMs"),
    returningTtftMs: medianOf("returningTtftMs"),
    storedBytes: medianOf("storedBytes"),
    storeMs: medianOf("storeMs"),
    loadMs: medianOf("loadMs"),
  };
}

class Workload {
  readonly #engine: CairnEngine;
  readonly #sizes: BenchSizes;
  #numTexts = 0;

  constructor(engine: CairnEngine, sizes: BenchSizes) {
    this.#engine = engine;
    this.#sizes = sizes;
  }

  async single() {
    const { usage, timings } = await this.#completeNew();
    const decodeMs = timings.total_ms - timings.time_to_first_token_ms;
    return {
      prefillTokensPerSecond: (usage.prompt_tokens * 1000) / timings.time_to_first_token_ms,
      decodeTokensPerSecond: ((usage.completion_tokens - 1) * 1000) / decodeMs,
    };
  }

  async batch() {
    const startMs = performance.now();
    const results = await Promise.all(Array.from({ length: this.#sizes.concurrency }, () => this.#completeNew()));
    return { batchTokensPerSecond: tokensPerSecond(results, startMs) };
  }

  async sharedPrefix() {
    const prefix = this.#text(this.#sizes.promptTokens);
    const prompts = Array.from({ length: this.#sizes.concurrency }, () => [...prefix, ...this.#text(OWN_TOKENS)]);
    const startMs = performance.now();
    const results = await Promise.all(prompts.map((prompt) => this.#complete(prompt, OWN_TOKENS)));
    return {
      sharedPrefixTokensPerSecond: tokensPerSecond(results, startMs),
      sharedPrefixTtftMs: median(results.map(({ timings }) => timings.time_to_first_token_ms)),
    };
  }

  /** Loaded from RAM, where it is kept there, else computed again. */
  async returning() {
    const { kv } = this.#engine;
    const prompt = this.#text(this.#sizes.promptTokens);
    const before = await kv.stats();
    await this.#complete(prompt, 1);
    const storeMs = await elapsedMs(() => this.#untilStored());
    await kv.clear({ tiers: ["gpu"] });
    const loadMs = await elapsedMs(() => kv.prefetch({ prompt }));
    const { stores } = await kv.stats();
    await kv.clear({ tiers: ["gpu"] });
    const { timings } = await this.#complete(prompt, OWN_TOKENS);
    return {
      returningTtftMs: timings.time_to_first_token_ms,
      storedBytes: stores.bytes - before.stores.bytes,
      storeMs,
      loadMs,
    };
  }

  async #untilStored(): Promise<void> {
    for (;;) {
      const { stores } = await this.#engine.kv.stats();
      if (stores.numWaiting + stores.numInFlight === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** A prompt that finds nothing in the prefix cache: the other figures would be flattered. */
  async #completeNew() {
    const result = await this.#complete(this.#text(this.#sizes.promptTokens), this.#sizes.outputTokens);
    const { cached_tokens } = result.usage.prompt_tokens_details;
    if (cached_tokens > 0) throw new Error(`a prompt that should be new has ${cached_tokens} cached tokens`);
    return result;
  }

  /** Hot sampling, so that the text seldom ends early. */
  #complete(prompt: readonly number[], maxTokens: number) {
    return this.#engine.completions.create({ prompt, max_tokens: maxTokens, temperature: 2, seed: this.#numTexts });
  }

  /** Pseudo-random ids, other ones at every call. */
  #text(length: number): number[] {
    const numIds = this.#engine.info.vocabSize - 16;
    const salt = Math.imul(this.#numTexts++, 40503);
    return Array.from({ length }, (_, index) => {
      const mixed = Math.imul(index + 1, 2654435761) ^ salt;
      return 16 + ((mixed >>> 8) % numIds);
    });
  }
}

async function elapsedMs(action: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await action();
  return performance.now() - startMs;
}

/** Output tokens of all together since a time of performance.now(). */
function tokensPerSecond(results: readonly { usage: { completion_tokens: number } }[], startMs: number): number {
  const numTokens = results.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
  return (numTokens * 1000) / (performance.now() - startMs);
}
