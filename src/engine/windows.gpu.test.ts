import { describe, expect, it } from "vitest";
import type { EngineInit } from "../protocol/messages";
import { filesSource } from "../testing/demo-model";
import { engineOver, generateGreedy } from "../testing/engine-over";
import { topGap } from "../testing/goldens";
import { openDawnGpu } from "../testing/gpu";
import { loadPart } from "../testing/lazy-parts";
import { Random } from "../testing/random";
import { ReferenceModel } from "../testing/reference-model";
import { DEMO_MODEL } from "../testing/test-engine";
import { makeTinyGemma, type TinyGemma, tinyGemmaFiles } from "../testing/tiny-gemma";
import { loadEngineParts } from "./load-engine";

const gpu = await openDawnGpu();

const PROMPT = new Random(5).intArray(45, 16, 255);
const NUM_TOKENS = 300;
const NUM_MORE_TOKENS = 20;
/** Of all positions in a group of full attention. */
const NUM_FULL_BLOCKS = 23;
/** Of a group with a window of 32: what it may take with two chunks of 16 tokens in flight, and what a decode holds. */
const MAX_WINDOW_BLOCKS = 5;
const NUM_WINDOW_BLOCKS = 3;

const SLIDING = "sliding_attention";
const MODELS = [
  {
    name: "full and sliding layers",
    seed: 5,
    layerTypes: [SLIDING, "full_attention", SLIDING],
    numFull: 1,
    numWindows: 2,
  },
  { name: "sliding layers only", seed: 6, layerTypes: [SLIDING, SLIDING, SLIDING], numFull: 0, numWindows: 1 },
];

function loadParts(gemma: TinyGemma) {
  const files = Object.fromEntries(tinyGemmaFiles(gemma).map(({ name, bytes }) => [name, bytes]));
  // Ids are all that the test gives and takes, but an engine wants a tokenizer.
  const model = filesSource({ ...files, "tokenizer.json": DEMO_MODEL["tokenizer.json"] });
  const init: EngineInit = { model, kvDtype: "f32", engine: { useGemvUpToTokens: 1, maxNumBatchedTokens: 16 } };
  const context = { gpu: gpu as GPU, onProgress: () => {}, loadPart, signal: new AbortController().signal };
  return loadEngineParts(init, context);
}

/** Greedy ids by the float64 model, none of them near a tie, and not a few over and over. */
function referenceIds({ config, tensors }: TinyGemma, numTokens: number): number[] {
  const reference = ReferenceModel.fromTensors(config, tensors);
  let logits = reference.forward(PROMPT)[PROMPT.length - 1];
  const gaps: number[] = [];
  const ids = Array.from({ length: numTokens }, () => {
    const id = logits.indexOf(Math.max(...logits));
    gaps.push(topGap(logits));
    logits = reference.append(id);
    return id;
  });
  expect(Math.min(...gaps)).toBeGreaterThan(1e-3);
  expect(new Set(ids).size).toBeGreaterThan(50);
  return ids;
}

describe.skipIf(!gpu)("a long text in a small pool", () => {
  it.each(MODELS)(
    "with $name is exact, and windows take no more blocks at its end than at its beginning",
    async (model) => {
      const { seed, layerTypes, numFull, numWindows } = model;
      const gemma = makeTinyGemma({ seed, residualScale: 1e5, layerTypes });
      const expectedIds = referenceIds(gemma, NUM_TOKENS + NUM_MORE_TOKENS);
      const parts = { ...(await loadParts(gemma)), eosTokenIds: [] };
      // The least in which one request of that length runs.
      const numBlocks = 1 + numFull * NUM_FULL_BLOCKS + numWindows * MAX_WINDOW_BLOCKS;
      const { engine, scheduler } = engineOver(parts, { numBlocks });

      const numHeld: number[] = [];
      const countBlocks = () => numHeld.push(scheduler.numUsableBlocks - scheduler.numFreeBlocks);
      const long = await generateGreedy(engine, PROMPT, { maxTokens: NUM_TOKENS }, countBlocks);
      expect(long.tokenIds).toEqual(expectedIds.slice(0, NUM_TOKENS));
      // At the first id 46 positions are written, at the last 344: 3 and 22 blocks of a full group.
      expect(numHeld[1]).toBe(numFull * 3 + numWindows * NUM_WINDOW_BLOCKS);
      expect(Math.max(...numHeld)).toBe(numFull * 22 + numWindows * NUM_WINDOW_BLOCKS);

      const more = await generateGreedy(engine, [...PROMPT, ...long.tokenIds], { maxTokens: NUM_MORE_TOKENS });
      expect(more).toEqual({ tokenIds: expectedIds.slice(NUM_TOKENS), end: "length", cachedTokens: 336 });
      engine.dispose();
    },
  );
});
