import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { assert } from "../util/errors";
import type { GoldenJob } from "./golden-job";
import { ReferenceModel } from "./reference-model";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A prompt, its greedy continuation, and logits, all from a float64 forward pass. */
export interface GoldenCase {
  /** Unique, for test titles: "stories260K #1". */
  readonly name: string;
  readonly model: string;
  /** Directory of the model in the Hugging Face layout, absolute. */
  readonly dir: string;
  readonly promptIds: readonly number[];
  readonly greedyIds: readonly number[];
  /** Logits at the last prompt position: all of them by id, or the highest first, or none; whatever the file has. */
  readonly topLogits: readonly (readonly [tokenId: number, logit: number])[];
  /** Top-1 minus top-2 logit at each greedy step; null where the file has none (see `teacherForcedGaps`). */
  readonly stepGaps: readonly number[] | null;
}

/** A golden step that came out otherwise. `actualId` is null where the output ended before it. */
export interface GoldenMismatch {
  readonly step: number;
  readonly expectedId: number;
  readonly actualId: number | null;
}

interface GoldenFile {
  readonly model: string;
  readonly dir: string;
  readonly path: string;
}

const EMBEDDED: GoldenFile = {
  model: "cairn-stories-3M",
  dir: `${ROOT}public/models/cairn-stories-3M`,
  path: `${ROOT}e2e/fixtures/cairn-stories-3M.golden.json`,
};

const SHARED_MODELS = `${ROOT}../shared/models`;

const SHARED: readonly GoldenFile[] = [
  ["stories260K", "golden.json"],
  ["stories260K", "golden-200.json"],
  ["stories3M", "golden.json"],
].map(([model, file]) => ({ model, dir: `${SHARED_MODELS}/${model}/hf`, path: `${SHARED_MODELS}/${model}/${file}` }));

/** The embedded model's cases, and those of ../shared/models where that folder exists; its absence is said in one line. */
export function loadGoldenCases(): GoldenCase[] {
  const hasShared = existsSync(SHARED_MODELS);
  if (!hasShared)
    console.warn("SKIPPED: goldens of stories260K and stories3M (no ../shared/models beside the repository)");
  return [EMBEDDED, ...(hasShared ? SHARED : [])].flatMap(readGoldenFile);
}

interface GoldenEntry {
  readonly prompt_ids: number[];
  readonly greedy_ids: number[];
  readonly step_gaps?: number[];
  readonly last_prompt_logits?: number[] | null;
  readonly last_prompt_position_logits?: number[] | null;
  readonly last_prompt_position_top8?: [number, number][];
}

function readGoldenFile({ model, dir, path }: GoldenFile): GoldenCase[] {
  const json: GoldenEntry | { cases: GoldenEntry[] } = JSON.parse(readFileSync(path, "utf8"));
  const entries = "cases" in json ? json.cases : [json];
  const label = path.endsWith("golden-200.json") ? `${model} 200 tokens` : model;
  return entries.map((entry, index) => ({
    name: `${label} #${index}`,
    model,
    dir,
    promptIds: entry.prompt_ids,
    greedyIds: entry.greedy_ids,
    topLogits: goldenLogits(entry),
    stepGaps: entry.step_gaps ?? null,
  }));
}

function goldenLogits(entry: GoldenEntry): readonly (readonly [number, number])[] {
  const all = entry.last_prompt_logits ?? entry.last_prompt_position_logits;
  if (all) return all.map((logit, tokenId) => [tokenId, logit] as const);
  return entry.last_prompt_position_top8 ?? [];
}

export interface GoldenModel {
  readonly dir: string;
  readonly jobs: readonly GoldenJob[];
}

/** All golden cases by model, each with the gap of every step: the file's, or computed. */
export function loadGoldenJobs(): Map<string, GoldenModel> {
  const models = new Map<string, GoldenModel>();
  const all = loadGoldenCases();
  for (const model of new Set(all.map((golden) => golden.model))) {
    const cases = all.filter((golden) => golden.model === model);
    const { dir } = cases[0];
    const reference = cases.some(({ stepGaps }) => stepGaps === null) ? ReferenceModel.load(dir) : null;
    const jobs = cases.map((golden) => ({
      name: golden.name,
      promptIds: golden.promptIds,
      greedyIds: golden.greedyIds,
      topLogits: golden.topLogits,
      stepGaps: golden.stepGaps ?? teacherForcedGaps(reference as ReferenceModel, golden),
    }));
    models.set(model, { dir, jobs });
  }
  return models;
}

/** The first step whose gap is under `bound`: from there on a free-running output may differ. `stepGaps.length` where none is. */
export function firstUncertainStep(stepGaps: readonly number[], bound: number): number {
  const step = stepGaps.findIndex((gap) => gap < bound);
  return step < 0 ? stepGaps.length : step;
}

/** Where a free-running greedy output differs from the golden ids before the first uncertain step. */
export function compareWithGolden(
  actualIds: readonly number[],
  golden: GoldenCase,
  stepGaps: readonly number[],
  bound: number,
): GoldenMismatch[] {
  const numCertain = firstUncertainStep(stepGaps, bound);
  return mismatches(actualIds, golden, (step) => step < numCertain);
}

/** Where the argmax of a run fed with the golden ids differs, at every step whose gap is at least `bound`. */
export function compareTeacherForced(
  argmaxIds: readonly number[],
  golden: GoldenCase,
  stepGaps: readonly number[],
  bound: number,
): GoldenMismatch[] {
  assert(stepGaps.length === golden.greedyIds.length, "one gap a greedy step is needed");
  return mismatches(argmaxIds, golden, (step) => stepGaps[step] >= bound);
}

function mismatches(
  actualIds: readonly number[],
  golden: GoldenCase,
  isCertain: (step: number) => boolean,
): GoldenMismatch[] {
  return golden.greedyIds
    .map((expectedId, step) => ({ step, expectedId, actualId: actualIds[step] ?? null }))
    .filter(({ step, expectedId, actualId }) => isCertain(step) && actualId !== expectedId);
}

/** Largest |actual - golden| over the logits that the case has; NaN if one of them is NaN. */
export function maxLogitError(logits: ArrayLike<number>, golden: GoldenCase): number {
  return Math.max(0, ...golden.topLogits.map(([tokenId, logit]) => Math.abs(logits[tokenId] - logit)));
}

/** Top-1 minus top-2 logit at each greedy step, by running the reference on the prompt and the golden ids. */
export function teacherForcedGaps(model: ReferenceModel, golden: GoldenCase): number[] {
  const { promptIds, greedyIds } = golden;
  const logits = model.forward([...promptIds, ...greedyIds.slice(0, -1)]);
  return logits.slice(promptIds.length - 1).map(topGap);
}

/** Top-1 minus top-2 logit. */
export function topGap(logits: Float64Array | Float32Array): number {
  const [top, second] = logits.toSorted().subarray(-2).reverse();
  return top - second;
}
