import type { EngineConfig } from "../protocol/engine-config";
import { readDemoModel } from "./demo-model";
import type { GoldenJob } from "./golden-job";
import { loadGoldenJobs, topGap } from "./goldens";
import type { RigOptions } from "./offload-rig";
import { Random } from "./random";
import { ReferenceModel } from "./reference-model";
import { makeTinyGemma, type NamedBytes, tinyGemmaFiles } from "./tiny-gemma";

const IS_SOAK = Boolean(process.env.CAIRN_SOAK);

/** Ids of a natural text. */
const TEXT = (loadGoldenJobs().get("cairn-stories-3M")?.jobs ?? []).flatMap(({ promptIds, greedyIds }) => [
  ...promptIds,
  ...greedyIds,
]);

export interface RevisitCase {
  readonly prompts: readonly (readonly number[])[];
  readonly orders: readonly (readonly number[])[];
  readonly maxTokens: number;
  readonly options: RigOptions;
}

/**
 * Prompts with no beginning in common, of at least `minLength` tokens, and a short one that the sixth begins with, in a pool
 * that holds a quarter of them. Then the last visited first; `numScattered` anywhere, some twice in a row; and the sixth
 * after its own beginning, which is on the GPU then, and the rest in RAM.
 */
function revisitCase(count: number, minLength: number, numScattered: number, numBlocks: number): RevisitCase {
  const stride = Math.floor((TEXT.length - 2 * minLength) / count);
  const lengthOf = (i: number) => minLength + ((i * 17) % Math.floor(minLength / 2));
  const prompts = Array.from({ length: count }, (_, i) => TEXT.slice(i * stride, i * stride + lengthOf(i)));
  const backwards = Array.from({ length: count }, (_, i) => count - 1 - i);
  const random = new Random(3);
  const scattered = Array.from({ length: numScattered }, () => random.int(0, count)).flatMap((index, place) =>
    place % 4 === 0 ? [index, index] : [index],
  );
  const orders = [backwards, scattered, [count, 5]];
  return { prompts: [...prompts, prompts[5].slice(0, 33)], orders, maxTokens: 2, options: { numBlocks } };
}

/** In Node by KV type, and in a browser, which has less time. */
export const REVISITS: Readonly<Record<"f32" | "f16" | "browser", RevisitCase>> = IS_SOAK
  ? { f32: revisitCase(20, 90, 20, 91), f16: revisitCase(20, 90, 20, 91), browser: revisitCase(12, 90, 12, 56) }
  : { f32: revisitCase(9, 90, 9, 43), f16: revisitCase(6, 90, 9, 30), browser: revisitCase(6, 49, 2, 16) };

/** RAM that holds some of the f16 case's prompts. */
export const SCARCE_HOST_BYTES = (IS_SOAK ? 120 : 36) * 2 ** 15;

/** Two chunks of the embedded model, and what six requests have behind them. */
export const COMMON_PREFIX = TEXT.slice(0, 64);
export const SUFFIXES = Array.from({ length: 6 }, (_, i) => TEXT.slice(200 + 10 * i, 208 + 10 * i));

/** Two chunks, and a few tokens. */
export const KV_CALLS_PROMPT = TEXT.slice(300, 369);

const [NOTHING, ON_GPU, IN_RAM] = [
  { gpu: 0, host: 0, storage: 0 },
  { gpu: 64, host: 0, storage: 0 },
  { gpu: 0, host: 64, storage: 0 },
];

/** What OffloadScenarios.kvCalls over it is told, with 3 tokens generated a request. */
export const KV_CALLS_FOUND = {
  prefetches: [NOTHING, ON_GPU, IN_RAM, ON_GPU, NOTHING],
  found: [NOTHING, ON_GPU, IN_RAM, NOTHING],
  /** Of 69 + 3 - 1 tokens that each of the four fed, those that it did not find. */
  tokens: { computed: 4 * 71 - 2 * 64, gpu: 64, host: 64, storage: 0 },
};

/** Of the embedded model: a text of 12 blocks, which takes as many steps to load, and a prompt that is computed meanwhile. */
export const LOST_TEXT = { promptIds: TEXT.slice(0, 200), greedyIds: [] };
export const LOST_PROMPT = TEXT.slice(400, 470);

/** Windows of 32, which make chunks of one block, in one full and two sliding groups. */
const GEMMA = makeTinyGemma({ seed: 5, residualScale: 1e5 });

/** One slot for stores. */
export const GEMMA_CONFIG: Partial<EngineConfig> = {
  numStagingSlots: 1,
  maxNumBatchedTokens: 128,
  useGemvUpToTokens: 1,
};

/** Ids are all that the tests give and take, but an engine wants a tokenizer. */
export function gemmaFiles(): NamedBytes[] {
  return [...tinyGemmaFiles(GEMMA), { name: "tokenizer.json", bytes: readDemoModel()["tokenizer.json"] }];
}

/** Seeds and lengths of prompts after which no step of the reference is near a tie. */
const GEMMA_PROMPTS = [
  [2, 44],
  [8, 51],
  [14, 58],
  [16, 37],
] as const;
const MIN_GAP = 1e-3;
/** With one more or less the first prompt and its answer would not end with a full chunk. */
const NUM_GEMMA_TOKENS = IS_SOAK ? 181 : 117;

/** Prompts, each with the ids that follow by the float64 model. */
export const GEMMA_JOBS: readonly GoldenJob[] = GEMMA_PROMPTS.map(([seed, length]) => {
  const reference = ReferenceModel.fromTensors(GEMMA.config, GEMMA.tensors);
  const promptIds = new Random(seed).intArray(length, 16, 255);
  const greedyIds: number[] = [];
  const stepGaps: number[] = [];
  let logits = reference.forward(promptIds)[length - 1];
  while (greedyIds.length < NUM_GEMMA_TOKENS) {
    greedyIds.push(logits.indexOf(Math.max(...logits)));
    stepGaps.push(topGap(logits));
    logits = reference.append(greedyIds[greedyIds.length - 1]);
  }
  if (Math.min(...stepGaps) < MIN_GAP) throw new Error(`what follows the prompt of seed ${seed} comes near a tie`);
  return { name: `prompt ${seed}`, promptIds, greedyIds, topLogits: [], stepGaps };
});

/**
 * Of three requests, two at once, in a pool in which two of them just fit. `keepsUp`: a step takes longer than a map, so that
 * stores lose nothing but what the ring cannot take; else they fall behind.
 */
export const SLOW_RINGS = {
  keepsUp: { numBlocks: 36, maxNumRunning: 2, maxPrefillChunkTokens: 32, landsAfterStores: true },
  fallsBehind: { numBlocks: 36, maxNumRunning: 2, maxPrefillChunkTokens: 32 },
} as const satisfies Record<string, RigOptions>;
export const MAP_DELAY_MS = 50;

/**
 * Four requests of up to 10 blocks (15 in the soak) in the full group, and three in each of the others, do not fit. Stores have ended
 * when a step lands, so that they are where they are wanted whatever the machine is busy with.
 */
export const SMALL_POOL: RigOptions = { numBlocks: IS_SOAK ? 60 : 44, landsAfterStores: true };

/** The first job's prompt and so many ids are full chunks. */
export const NUM_IDS_BEFORE_ABORT = 84;
