import { chooseAblations } from "./ablations";
import { type BackendBenchResult, benchBackends } from "./backend-bench";
import { type BenchResult, type BenchSizes, runAblation } from "./serving-bench";
import { benchStorage, type StorageBenchResult } from "./storage-bench";

declare global {
  interface Window {
    /** Set when the benchmark ended: its report, or why it failed. */
    benchReport?:
      | {
          readonly sizes: BenchSizes;
          readonly results: readonly BenchResult[];
          readonly storage: readonly StorageBenchResult[];
          readonly backends: readonly BackendBenchResult[];
        }
      | { readonly error: string };
  }
}

const MEASURES = [
  ["prefill tokens/s", "prefillTokensPerSecond"],
  ["decode tokens/s", "decodeTokensPerSecond"],
  ["batch tokens/s", "batchTokensPerSecond"],
  ["shared prefix tokens/s", "sharedPrefixTokensPerSecond"],
  ["shared prefix TTFT ms", "sharedPrefixTtftMs"],
  ["returning prompt TTFT ms", "returningTtftMs"],
  ["its KV in RAM, bytes", "storedBytes"],
  ["store ms", "storeMs"],
  ["load ms", "loadMs"],
] as const satisfies readonly (readonly [string, keyof BenchResult])[];
const COLUMNS = ["", ...MEASURES.map(([column]) => column), "against all on"];

const query = new URLSearchParams(location.search);
const model = query.get("model") ?? "models/cairn-stories-3M/";
const sizes: BenchSizes = {
  promptTokens: number("prompt", 256),
  outputTokens: number("output", 64),
  concurrency: number("concurrency", 4),
  repeats: number("repeats", 3),
};

function number(name: string, fallback: number): number {
  return Number(query.get(name) ?? fallback);
}

function say(text: string): void {
  (document.querySelector("#status") as HTMLElement).textContent = text;
}

function addRow(cells: readonly string[], tag: "th" | "td"): void {
  const row = document.createElement("tr");
  for (const text of cells) row.append(Object.assign(document.createElement(tag), { textContent: text }));
  document.querySelector("#results")?.append(row);
}

function cells(result: BenchResult, baseline: BenchResult): string[] {
  const values = (from: BenchResult) => MEASURES.map(([, measure]) => from[measure]);
  const ratios = values(result).map((value, index) => (value / values(baseline)[index]).toFixed(2));
  return [result.name, ...values(result).map((value) => value.toFixed(1)), ratios.join(" / ")];
}

function showStorage(results: readonly StorageBenchResult[]): void {
  addRow(
    [
      "storage",
      "TTFT after a restart, computed / stored, ms",
      "store, of raw",
      "restore, of raw",
      "record kB",
      "all kB",
    ],
    "th",
  );
  for (const result of results) addRow(storageCells(result), "td");
}

function storageCells(result: StorageBenchResult): string[] {
  const { coldTtftMs, storedTtftMs, storeMegabytesPerSecond, restoreMegabytesPerSecond } = result;
  const { rawWriteMegabytesPerSecond, rawReadMegabytesPerSecond } = result;
  const share = (part: number, whole: number) => `${part.toFixed(1)} of ${whole.toFixed(1)} MB/s`;
  return [
    `${result.promptTokens} tokens, ${result.encoding}`,
    `${coldTtftMs.toFixed(0)} / ${storedTtftMs.toFixed(0)}`,
    share(storeMegabytesPerSecond, rawWriteMegabytesPerSecond),
    share(restoreMegabytesPerSecond, rawReadMegabytesPerSecond),
    (result.chunkBytes / 1000).toFixed(0),
    (result.storedBytes / 1000).toFixed(0),
  ];
}

function showBackends(results: readonly BackendBenchResult[]): void {
  addRow(["record kB", "write, ms a record: IndexedDB / file", "read, ms a record: IndexedDB / file"], "th");
  for (const { recordBytes, rates } of results) {
    const cell = (rate: "writeMsPerRecord" | "readMsPerRecord") => {
      const [indexeddb, file] = [rates.indexeddb[rate], rates.auto[rate]];
      return `${indexeddb.toFixed(2)} / ${file.toFixed(2)} (${(indexeddb / file).toFixed(1)} times)`;
    };
    addRow([(recordBytes / 1000).toFixed(0), cell("writeMsPerRecord"), cell("readMsPerRecord")], "td");
  }
}

async function run(): Promise<void> {
  addRow(COLUMNS, "th");
  const results: BenchResult[] = [];
  const only = query.get("only");
  const ablations = chooseAblations(only);
  for (const ablation of ablations) {
    say(`Running: ${ablation.name} (${results.length + 1} of ${ablations.length})`);
    results.push(await runAblation(model, ablation, sizes));
    addRow(cells(results[results.length - 1], results[0]), "td");
  }
  say("Running: storage");
  const storage: StorageBenchResult[] = [];
  for (const encoding of only === "backends" ? [] : (["exact", "int8"] as const)) {
    storage.push(await benchStorage(model, encoding, number("stored", 2000), sizes.repeats));
  }
  say("Running: where the store's bytes lie");
  const backends = await benchBackends(sizes.repeats);
  say(
    `Done. Prompts of ${sizes.promptTokens} tokens, ${sizes.outputTokens} tokens out, batch of ${sizes.concurrency}.`,
  );
  if (storage.length > 0) showStorage(storage);
  showBackends(backends);
  window.benchReport = { sizes, results, storage, backends };
}

run().catch((error: unknown) => {
  say(`Failed: ${String(error)}`);
  window.benchReport = { error: String(error) };
});
