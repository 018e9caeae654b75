import { describe, expect, it } from "vitest";
import { CairnError } from "../util/errors";
import { hasSharedModels, loadTestTokenizer, readSharedText } from "./test-tokenizers";
import { Tokenizer } from "./tokenizer";

const plain = { addSpecialTokens: false };
const special = { addSpecialTokens: true };

describe("embedded model", () => {
  const tokenizer = loadTestTokenizer("embedded");

  it("adds what the tokenizer adds, and only when asked", () => {
    const ids = tokenizer.encode("Once there was", plain);
    expect(tokenizer.encode("Once there was", special)).toEqual([2, ...ids]);
    expect(tokenizer.leadingIds).toEqual([2]);
  });

  it("knows its tokens", () => {
    expect(tokenizer.vocabSize).toBe(2048);
    expect(tokenizer.tokenId("<end_of_turn>")).toBe(5);
    expect(tokenizer.tokenText(5)).toBe("<end_of_turn>");
    expect([tokenizer.isSpecial(5), tokenizer.isAdded(5), tokenizer.isSpecial(16)]).toEqual([true, true, false]);
    expect([tokenizer.tokenId("no such token"), tokenizer.tokenText(2048)]).toEqual([null, null]);
    expect(tokenizer.tokenBytes(2048)).toEqual(new Uint8Array(0));
  });

  it("reads special tokens that stand in the text", () => {
    expect(tokenizer.encode("<start_of_turn><end_of_turn>", plain)).toEqual([4, 5]);
  });
});

describe.skipIf(!hasSharedModels)("published goldens", () => {
  it.each(["stories260K", "stories3M"])("%s: ids of every text, BOS included", (model) => {
    const tokenizer = loadTestTokenizer(model);
    const cases = JSON.parse(readSharedText(`${model}/encode-golden.json`)) as [text: string, ids: number[]][];
    expect(cases.length).toBe(13);
    for (const [text, ids] of cases) expect(tokenizer.encode(text, special), JSON.stringify(text)).toEqual(ids);
  });

  it.each([
    ["gpt2", "gpt-2"],
    ["qwen2", "qwen2"],
    ["llama3.2", "llama-bpe"],
    ["phi-3-mini", "phi-3"],
  ])("%s: the vocabulary test texts of llama.cpp", (name, file) => {
    const tokenizer = loadTestTokenizer(name);
    const base = `tokenizers-goldens/llamacpp/ggml-vocab-${file}.gguf`;
    // A separator ends every text, the last one too.
    const texts = readSharedText(`${base}.inp`).split("\n__ggml_vocab_test__\n").slice(0, -1);
    const lines = readSharedText(`${base}.out`).replace(/\n$/, "").split("\n");
    expect([texts.length, lines.length]).toEqual([46, 46]);
    texts.forEach((text, index) => {
      const ids = lines[index].split(" ").filter(Boolean).map(Number);
      expect(tokenizer.encode(text, plain), JSON.stringify(text)).toEqual(ids);
    });
  });

  it.each([
    ["gpt2", "openai-community__gpt2"],
    ["qwen2", "Qwen__Qwen2.5-0.5B"],
  ])("%s: multilingual texts", (name, file) => {
    const tokenizer = loadTestTokenizer(name);
    const folder = "tokenizers-goldens/multilingual";
    const { inputs } = JSON.parse(readSharedText(`${folder}/multilingual-inputs.json`)) as {
      inputs: { id: string; text: string }[];
    };
    const { entries } = JSON.parse(readSharedText(`${folder}/multilingual-${file}.json`)) as {
      entries: Record<string, { input_ids: number[] }>;
    };
    expect(inputs.length).toBe(30);
    for (const { id, text } of inputs) expect(tokenizer.encode(text, plain), id).toEqual(entries[id].input_ids);
  });
});

describe("bad files", () => {
  const model = { type: "BPE", vocab: { a: 0, b: 1 }, merges: [], unk_token: null };
  const tokenizerJson = {
    model,
    decoder: { type: "ByteLevel" },
    post_processor: null,
    pre_tokenizer: null,
    normalizer: null,
  };
  const errorOf = (run: () => unknown): CairnError => {
    try {
      run();
    } catch (thrown) {
      if (thrown instanceof CairnError) return thrown;
      throw thrown;
    }
    throw new Error("nothing was thrown");
  };

  it("does without added tokens and tokenizer_config.json", () => {
    expect(new Tokenizer(tokenizerJson, null).encode("ab", plain)).toEqual([0, 1]);
  });

  it.each([
    null,
    [],
    { decoder: { type: "ByteLevel" } },
    { ...tokenizerJson, model: { type: "Strange" } },
    { ...tokenizerJson, decoder: null },
    { ...tokenizerJson, decoder: { type: "WordPiece" } },
    { ...tokenizerJson, decoder: { type: "Strip", content: " ", start: 1, stop: 1 } },
    { ...tokenizerJson, decoder: { type: "Replace", pattern: { Regex: "(" }, content: "" } },
    { ...tokenizerJson, pre_tokenizer: { type: "Strange" } },
  ])("refuses tokenizer %#", (json) => {
    const error = errorOf(() => new Tokenizer(json, null));
    expect([error.code, error.data.file]).toEqual(["invalid_tokenizer", "tokenizer.json"]);
  });

  it("names a token for unknown text that has no id", () => {
    const json = { ...tokenizerJson, model: { ...model, unk_token: "<unk>" } };
    const error = errorOf(() => new Tokenizer(json, null).encode("abc", plain));
    expect([error.code, error.data]).toEqual(["invalid_tokenizer", { file: "tokenizer.json", token: "<unk>" }]);
  });
});
