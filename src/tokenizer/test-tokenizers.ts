import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "./tokenizer";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SHARED_MODELS = `${ROOT}../shared/models`;
const EMBEDDED_MODEL = `${ROOT}public/models/cairn-stories-3M`;

export const EMBEDDED_GOLDEN_PATH = `${ROOT}e2e/fixtures/cairn-stories-3M.golden.json`;
export const hasSharedModels = existsSync(SHARED_MODELS);

if (!hasSharedModels) console.warn("SKIPPED: goldens of other tokenizers (no ../shared/models beside the repository)");

/** Folder of each tokenizer that tests may use; only the embedded model's is part of the repository. */
export const TOKENIZER_DIRS: ReadonlyMap<string, string> = new Map([
  ["embedded", EMBEDDED_MODEL],
  ...(hasSharedModels
    ? ([
        ["stories260K", `${SHARED_MODELS}/stories260K/hf`],
        ["stories3M", `${SHARED_MODELS}/stories3M/hf`],
        ...["gpt2", "llama3.2", "qwen2", "phi-3-mini", "smollm2"].map(
          (name) => [name, `${SHARED_MODELS}/tokenizers/${name}`] as const,
        ),
      ] as const)
    : []),
]);

export function readTestJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}

export function readSharedText(path: string): string {
  return readFileSync(`${SHARED_MODELS}/${path}`, "utf8");
}

/** The parsed files of a tokenizer; `config` is null where it has none. */
export function readTokenizerFiles(name: string): {
  json: Record<string, unknown>;
  config: Record<string, unknown> | null;
} {
  const dir = TOKENIZER_DIRS.get(name)!;
  const configPath = `${dir}/tokenizer_config.json`;
  return {
    json: readTestJson(`${dir}/tokenizer.json`) as Record<string, unknown>,
    config: existsSync(configPath) ? (readTestJson(configPath) as Record<string, unknown>) : null,
  };
}

export function loadTestTokenizer(name: string): Tokenizer {
  const { json, config } = readTokenizerFiles(name);
  return new Tokenizer(json, config);
}
