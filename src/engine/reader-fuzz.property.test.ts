import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { makeKvGeometry } from "../kv/geometry";
import { streamWeights } from "../loader/weight-pieces";
import { ropeTable } from "../models/rope-table";
import { allLinears, allNorms } from "../models/weight-plan";
import { largestAllocation } from "../testing/allocation-watch";
import { filesSource } from "../testing/demo-model";
import { type Folder, fuzzFolders, fuzzTemplates, fuzzTokenizers } from "../testing/fuzz-models";
import { loadPart } from "../testing/lazy-parts";
import { concat, lieAboutHeaderLength, mutateBytes } from "../testing/mutate-bytes";
import { mutateJson } from "../testing/mutate-json";
import { Random } from "../testing/random";
import { ChatTemplate, encodeChat } from "../tokenizer/chat-template";
import { IncrementalDecoder } from "../tokenizer/incremental-decoder";
import { Tokenizer } from "../tokenizer/tokenizer";
import { CairnError, toWireError } from "../util/errors";
import { readCheckpoint } from "./checkpoint";
import { resolveEngineConfig } from "./engine-config";
import { divideEngineMemory } from "./plan-memory";

/** Of 2,000 inputs in all; 100,000 in a soak. */
const TIMES = process.env.CAIRN_SOAK ? 50 : 1;
const TIMEOUT_MS = 240_000 * TIMES;
const SEED = Number(process.env.CAIRN_FUZZ_SEED ?? 20261125);

const TEXTS = [
  "",
  "Hello world 12",
  "<bos> a\n\n ab\t<end_of_turn>",
  "你好 🎉 \u0000 é",
  "a".repeat(400),
  "x \u{10ffff}\ud800 y",
];
const MESSAGES = [
  { role: "user", content: "Hi <bos>" },
  { role: "assistant", content: "Hello!" },
  { role: "user", content: "" },
];
const CONTEXT = { signal: new AbortController().signal, loadPart };

/** Counts what came of the inputs, so that a fuzz that reaches nothing is seen. */
class Outcomes {
  readonly counts: Record<string, number> = {};

  /** Runs a reader: it ends well or in an error of ours, which must survive the way to another thread. */
  async of(read: () => Promise<void> | void): Promise<void> {
    let outcome = "works";
    try {
      await read();
    } catch (thrown) {
      if (!(thrown instanceof CairnError) || thrown.code === "internal") throw thrown;
      structuredClone(toWireError(thrown));
      outcome = thrown.code;
    }
    this.counts[outcome] = (this.counts[outcome] ?? 0) + 1;
  }
}

function check(numRuns: number, play: (random: Random) => Promise<void>): Promise<void> {
  const property = fc.asyncProperty(fc.nat(), (seed) => play(new Random(seed)));
  return fc.assert(property, { seed: SEED, numRuns: numRuns * TIMES, endOnFailure: true });
}

const pick = <T>(random: Random, values: readonly T[]): T => values[random.int(0, values.length)];

/** Reads a whole model but its weights on the GPU, and uses each part of it once. */
async function useFolder(folder: Folder): Promise<void> {
  const files = Object.fromEntries(folder);
  const checkpoint = await readCheckpoint({ model: filesSource(files) }, CONTEXT);
  const { config, layout, plan, weightMap, tokenizer, chatTemplate } = checkpoint;
  const geometry = makeKvGeometry(config, "f16");
  const memory = divideEngineMemory({}, resolveEngineConfig(), checkpoint, geometry, { maxBindingBytes: 2 ** 30 });
  if (memory.refusal) throw memory.refusal;
  for (const rope of config.ropes) ropeTable(rope, config.headDim, memory.maxModelLen);
  expect(allLinears(plan).length + allNorms(plan).length).toBeGreaterThan(config.layers.length);
  let numBytes = 0;
  for await (const piece of streamWeights(checkpoint.files, weightMap, { names: layout.tensors }))
    numBytes += piece.bytes.length;
  expect(numBytes).toBe([...layout.tensors].reduce((sum, name) => sum + weightMap.get(name)!.byteLength, 0));
  useTokenizer(tokenizer);
  if (chatTemplate) encodeChat(chatTemplate, tokenizer, MESSAGES.slice(0, 1));
}

function useTokenizer(tokenizer: Tokenizer): void {
  const decoder = new IncrementalDecoder(tokenizer);
  for (const text of TEXTS) {
    const ids = tokenizer.encode(text, { addSpecialTokens: true });
    for (const id of ids) expect(typeof decoder.push(id)).toBe("string");
  }
  for (const id of [0, 5, 255, 2 ** 31 - 1]) expect(typeof decoder.push(id)).toBe("string");
  decoder.flush();
}

/** Elements that reading a folder may ask for at once: what it holds, and room for a model's 1,024 layers and rope tables. */
const allowedElements = (folder: Folder) => 2 ** 16 + [...folder.values()].reduce((sum, { length }) => sum + length, 0);

describe("files with faults end in a typed error or work, and nothing is larger than they are", () => {
  const folders = fuzzFolders();
  const parse = (folder: Folder, name: string): unknown => JSON.parse(new TextDecoder().decode(folder.get(name)));
  const encode = (text: string) => new TextEncoder().encode(text);

  async function checkFolder(outcomes: Outcomes, folder: Folder): Promise<void> {
    const largest = await largestAllocation(() => outcomes.of(() => useFolder(folder)));
    expect(largest).toBeLessThanOrEqual(allowedElements(folder));
  }

  it("folders as they are work", async () => {
    for (const folder of folders) await useFolder(folder);
  });

  it("config.json and generation_config.json", { timeout: TIMEOUT_MS }, async () => {
    const outcomes = new Outcomes();
    await check(500, async (random) => {
      const folder = new Map(pick(random, folders));
      const name = pick(random, ["config.json", "config.json", "generation_config.json"]);
      await checkFolder(outcomes, folder.set(name, encode(mutateJson(parse(folder, name), random))));
    });
    expect(Object.keys(outcomes.counts).sort()).toEqual(
      expect.arrayContaining(["invalid_config", "tensor_shape", "unsupported_architecture", "works"]),
    );
  });

  it("headers of safetensors files", { timeout: TIMEOUT_MS }, async () => {
    const outcomes = new Outcomes();
    await check(400, async (random) => {
      const folder = new Map(pick(random, folders));
      const file = folder.get("model.safetensors")!;
      const dataStart = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
      const json = encode(mutateJson(JSON.parse(new TextDecoder().decode(file.subarray(8, dataStart))), random));
      const length = new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer);
      const changed = concat(length, json, file.subarray(dataStart));
      await checkFolder(
        outcomes,
        folder.set("model.safetensors", random.int(0, 4) ? changed : lieAboutHeaderLength(file, random)),
      );
    });
    expect(Object.keys(outcomes.counts)).toEqual(
      expect.arrayContaining(["invalid_safetensors", "unsupported_dtype", "works"]),
    );
  });

  it("the index of a model in shards", { timeout: TIMEOUT_MS }, async () => {
    const outcomes = new Outcomes();
    await check(150, async (random) => {
      const folder = new Map(pick(random, folders));
      const file = folder.get("model.safetensors")!;
      const dataStart = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
      const names = Object.keys(JSON.parse(new TextDecoder().decode(file.subarray(8, dataStart))));
      const index = { weight_map: Object.fromEntries(names.map((name) => [name, "part-1.safetensors"])) };
      folder.delete("model.safetensors");
      folder.set("part-1.safetensors", file).set("part-2.safetensors", mutateBytes(file, random));
      await checkFolder(outcomes, folder.set("model.safetensors.index.json", encode(mutateJson(index, random))));
    });
    expect(Object.keys(outcomes.counts)).toContain("invalid_safetensors");
  });

  it("any file with changed bytes, cut off, another's content, or missing", { timeout: TIMEOUT_MS }, async () => {
    const outcomes = new Outcomes();
    await check(300, async (random) => {
      const folder = new Map(pick(random, folders));
      const name = pick(random, [...folder.keys()]);
      const other = pick(random, [...pick(random, folders).values()]);
      if (random.int(0, 20) === 0) folder.delete(name);
      else folder.set(name, random.int(0, 8) ? mutateBytes(folder.get(name)!, random) : other);
      await checkFolder(outcomes, folder);
    });
    expect(Object.keys(outcomes.counts)).toEqual(expect.arrayContaining(["model_file_missing", "works"]));
  });

  it("tokenizer.json and tokenizer_config.json", { timeout: TIMEOUT_MS }, async () => {
    const tokenizers = fuzzTokenizers();
    for (const { json, config } of tokenizers) useTokenizer(new Tokenizer(json, config));
    const outcomes = new Outcomes();
    await check(400, async (random) => {
      const { json, config } = pick(random, tokenizers);
      const text = mutateJson(json, random);
      const isConfig = random.int(0, 8) === 0;
      const read = () =>
        isConfig
          ? useTokenizer(new Tokenizer(json, JSON.parse(mutateJson(config, random))))
          : useTokenizer(new Tokenizer(JSON.parse(text), config));
      const largest = await largestAllocation(() => outcomes.of(read));
      expect(largest).toBeLessThanOrEqual(2 ** 16 + text.length);
    });
    expect(Object.keys(outcomes.counts).sort()).toEqual(["invalid_tokenizer", "works"]);
  });

  it("chat templates", { timeout: TIMEOUT_MS }, async () => {
    const templates = fuzzTemplates();
    const outcomes = new Outcomes();
    await check(250, async (random) => {
      const [source, other] = [pick(random, templates), pick(random, templates)];
      const at = random.int(0, source.length);
      const spliced =
        source.slice(0, at) + other.slice(random.int(0, other.length)).slice(0, random.int(1, 40)) + source.slice(at);
      const changed = new TextDecoder().decode(mutateBytes(encode(random.int(0, 2) ? spliced : source), random));
      const template = new ChatTemplate(changed, { bos_token: "<bos>" });
      await outcomes.of(() => expect(typeof template.render(MESSAGES, { addGenerationPrompt: true })).toBe("string"));
    });
    expect(Object.keys(outcomes.counts).sort()).toEqual(["chat_template", "works"]);
  });
});

it("an allocation that is larger than the files is seen", async () => {
  const sizes = [
    () => new Uint8Array(100_000),
    () => new Array(100_000),
    () => Array.from({ length: 100_000 }, () => 0),
  ].map((allocate) => largestAllocation(async () => void allocate()));
  expect(await Promise.all(sizes)).toEqual([100_000, 100_000, 100_000]);
});
