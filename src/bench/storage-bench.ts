import { type CairnEngine, createEngine } from "../index";
import type { OffloadEncoding } from "../kv/offload-encoding";
import { RawStore } from "./raw-store";
import { median } from "./statistics";

export interface StorageBenchResult {
  readonly encoding: OffloadEncoding;
  readonly promptTokens: number;
  /** Bytes of a record, and of all that the prompt's KV takes in storage. */
  readonly chunkBytes: number;
  readonly storedBytes: number;
  /**
   * Of a prompt whose KV is on the GPU and in RAM, from its request until all is durable, the step of one token included; and from
   * storage to the GPU, in an engine that has just started and reads its index meanwhile.
   */
  readonly storeMegabytesPerSecond: number;
  readonly restoreMegabytesPerSecond: number;
  /** Records of the same size, as many a transaction, in a store that does nothing else. */
  readonly rawWriteMegabytesPerSecond: number;
  readonly rawReadMegabytesPerSecond: number;
  /** Milliseconds to the first token of the prompt in an engine that has just started: computed, and with its KV in storage. */
  readonly coldTtftMs: number;
  readonly storedTtftMs: number;
}

/** What storage gives to a long prompt after a restart, for `repeats` prompts: medians. */
export async function benchStorage(
  model: string,
  encoding: OffloadEncoding,
  promptTokens: number,
  repeats: number,
): Promise<StorageBenchResult> {
  const files = await stretchedModel(model, promptTokens + 64);
  const namespace = `bench-${crypto.randomUUID()}`;
  const engine = { loadPolicy: "always", offloadEncoding: encoding } as const;
  const start = () => createEngine({ model: files, namespace, engine });
  const prompts = Array.from({ length: repeats + 1 }, (_, index) => textOf(promptTokens, index));

  const warm = await start();
  await complete(warm, prompts[0]);
  await warm.kv.flush();
  const colds: number[] = [];
  const stores: number[] = [];
  let [chunkBytes, storedBytes] = [0, 0];
  for (const prompt of prompts.slice(1)) {
    colds.push((await complete(warm, prompt)).timings.time_to_first_token_ms);
    await warm.kv.flush();
    // Empty, so that the same request writes all of it again and computes next to nothing.
    await warm.kv.clear({ tiers: ["storage"] });
    const storeMs = await elapsedMs(async () => {
      await complete(warm, prompt);
      await warm.kv.flush();
    });
    const { storage, host } = await warm.kv.stats();
    [chunkBytes, storedBytes] = [host?.chunkBytes ?? 0, storage?.durableBytes ?? 0];
    stores.push(storedBytes / storeMs / 1000);
  }
  for (const prompt of prompts) await complete(warm, prompt);
  await warm.kv.flush();
  await warm.dispose();

  const restores: number[] = [];
  const ttfts: number[] = [];
  for (const prompt of prompts.slice(1)) {
    await using restarted = await start();
    const restoreMs = await elapsedMs(() => restarted.kv.prefetch({ prompt }));
    restores.push((await restarted.kv.stats()).loads.bytes / restoreMs / 1000);
    await restarted.kv.clear({ tiers: ["gpu", "host"] });
    const { timings, usage } = await complete(restarted, prompt);
    if (usage.prompt_tokens_details.cached_tokens_by_tier.storage === 0) throw new Error("nothing came from storage");
    ttfts.push(timings.time_to_first_token_ms);
  }
  const raw = await RawStore.measure(chunkBytes, Math.max(1, Math.round(storedBytes / chunkBytes)), repeats);
  await using last = await start();
  await last.kv.clear({ tiers: ["storage"] });
  return {
    encoding,
    promptTokens,
    chunkBytes,
    storedBytes,
    storeMegabytesPerSecond: median(stores),
    restoreMegabytesPerSecond: median(restores),
    ...raw,
    coldTtftMs: median(colds),
    storedTtftMs: median(ttfts),
  };
}

function complete(engine: CairnEngine, prompt: readonly number[]) {
  return engine.completions.create({ prompt, max_tokens: 1, temperature: 0 });
}

/**
 * The model's files, with a context of at least so many tokens: what it says behind the context that it was made for means nothing,
 * but it takes the time that it takes.
 */
async function stretchedModel(model: string, contextTokens: number): Promise<File[]> {
  const fetchFile = async (name: string) => {
    const response = await fetch(`${model}${name}`);
    return response.ok ? new File([await response.blob()], name) : null;
  };
  const names = ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "model.safetensors"];
  const files = await Promise.all(names.map(fetchFile));
  const config = await (await fetch(`${model}config.json`)).json();
  config.max_position_embeddings = Math.max(contextTokens, config.max_position_embeddings);
  return [...files.filter((file) => file !== null), new File([JSON.stringify(config)], "config.json")];
}

/** Pseudo-random ids, other ones for each index. */
function textOf(length: number, index: number): number[] {
  return Array.from({ length }, (_, position) => {
    const mixed = Math.imul(position + 1, 2654435761) ^ Math.imul(index + 1, 40503);
    return 16 + ((mixed >>> 8) % 1024);
  });
}

async function elapsedMs(action: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await action();
  return performance.now() - startMs;
}
