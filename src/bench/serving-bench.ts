import { type CairnEngine, createEngine } from "../index";
import type { Ablation } from "./ablations";
import { median } from "./statistics";

export interface BenchSizes {
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
}

/** Loads an engine set up as the ablation says, runs the workload once to warm up, then `repeats` times. */
export async function runAblation(model: string, ablation: Ablation, sizes: BenchSizes): Promise<BenchResult> {
  await using engine = await createEngine({ model, ...ablation.options });
  const single: { prefill: number; decode: number }[] = [];
  const batch: number[] = [];
  for (let repeat = -1; repeat < sizes.repeats; repeat++) {
    const one = await runSingle(engine, sizes, repeat);
    const many = await runBatch(engine, sizes, repeat);
    if (repeat < 0) continue;
    single.push(one);
    batch.push(many);
  }
  return {
    name: ablation.name,
    prefillTokensPerSecond: median(single.map(({ prefill }) => prefill)),
    decodeTokensPerSecond: median(single.map(({ decode }) => decode)),
    batchTokensPerSecond: median(batch),
  };
}

async function runSingle(engine: CairnEngine, sizes: BenchSizes, seed: number) {
  const { usage, timings } = await complete(engine, sizes, seed);
  const decodeMs = timings.total_ms - timings.time_to_first_token_ms;
  return {
    prefill: (usage.prompt_tokens * 1000) / timings.time_to_first_token_ms,
    decode: ((usage.completion_tokens - 1) * 1000) / decodeMs,
  };
}

async function runBatch(engine: CairnEngine, sizes: BenchSizes, seed: number): Promise<number> {
  const startMs = performance.now();
  const results = await Promise.all(
    Array.from({ length: sizes.concurrency }, (_, index) => complete(engine, sizes, seed * 100 + index)),
  );
  const tokens = results.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
  return (tokens * 1000) / (performance.now() - startMs);
}

/** Hot sampling over pseudo-random ids, so that the text seldom ends early; each seed has a prompt of its own. */
function complete(engine: CairnEngine, { promptTokens, outputTokens }: BenchSizes, seed: number) {
  const prompt = Array.from({ length: promptTokens }, (_, index) => {
    const mixed = Math.imul(index + 1, 2654435761) ^ Math.imul(seed + 7, 40503);
    return 16 + ((mixed >>> 8) % (engine.info.vocabSize - 16));
  });
  return engine.completions.create({ prompt, max_tokens: outputTokens, temperature: 2, seed });
}
