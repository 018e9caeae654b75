import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ModelSource, PromptInput } from "../protocol/messages";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Files of a model by name. */
export type FileBytes = Readonly<Record<string, Uint8Array<ArrayBuffer>>>;

/** The embedded model's files. */
export function readDemoModel(): FileBytes {
  return readModelDir(`${ROOT}public/models/cairn-stories-3M`);
}

export function readModelDir(dir: string): FileBytes {
  return Object.fromEntries(readdirSync(dir).map((name) => [name, new Uint8Array(readFileSync(`${dir}/${name}`))]));
}

export function filesSource(files: FileBytes): ModelSource {
  return { kind: "files", files: Object.entries(files).map(([name, bytes]) => new File([bytes], name)) };
}

/** A case of the embedded model whose every step is far from a tie, so that its ids hold in every mode. */
export interface CertainCase {
  readonly input: PromptInput;
  readonly promptIds: readonly number[];
  readonly greedyIds: readonly number[];
  readonly text: string;
}

interface GoldenFile {
  readonly cases: readonly {
    readonly messages: { readonly role: string; readonly content: string }[];
    readonly prompt_ids: number[];
    readonly greedy_ids: number[];
    readonly step_gaps: number[];
    readonly text: string;
  }[];
}

/** The shortest such case first. */
export function readCertainCases(): CertainCase[] {
  const golden: GoldenFile = JSON.parse(readFileSync(`${ROOT}e2e/fixtures/cairn-stories-3M.golden.json`, "utf8"));
  return golden.cases
    .filter(({ step_gaps: gaps }) => Math.min(...gaps) > 0.4)
    .map(({ messages, prompt_ids: promptIds, greedy_ids: greedyIds, text }) => {
      return { input: { kind: "chat", messages } as const, promptIds, greedyIds, text };
    })
    .sort((a, b) => a.promptIds.length - b.promptIds.length);
}
