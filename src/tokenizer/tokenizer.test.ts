import { describe, expect, it } from "vitest";
import { CairnError } from "../util/errors";
import { hasSharedModels, loadTestTokenizer, readSharedText, readTokenizerFiles } from "./test-tokenizers";
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

describe("a tokenizer.json that would loop, allocate without end, or give ids that are none, is refused", () => {
  const { json } = readTokenizerFiles("embedded");
  const deep = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`);
  const doubling = { type: "Replace", pattern: { String: "a" }, content: "aa" };
  const unigram = { type: "Unigram", unk_id: 0 };
  const bpe = { type: "BPE", merges: [] };

  it.each<[string, Record<string, unknown>]>([
    ["pieces of no characters", { pre_tokenizer: { type: "FixedLength", length: 0 } }],
    [
      "pieces of no characters, in a sequence",
      { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "FixedLength", length: -1 }] } },
    ],
    ["a vocabulary that claims a length", { model: { ...unigram, vocab: { length: 3e7 } } }],
    ["an added token that claims a length", { added_tokens: [{ id: 1, content: { length: 1e9 } }] }],
    ["an added token at the id 'length'", { added_tokens: [{ id: "length", content: "a" }] }],
    ["an id that is a text", { model: { ...bpe, vocab: { a: "length" } } }],
    ["an id that is a fraction", { model: { ...bpe, vocab: { a: 0.5 } } }],
    ["an id of 2^32", { model: { ...bpe, vocab: { a: 2 ** 32 } } }],
    ["merges of numbers", { model: { ...bpe, vocab: { a: 0 }, merges: [[1, 2]] } }],
    [
      "replacements that double a text 40 times",
      { normalizer: { type: "Sequence", normalizers: new Array(40).fill(doubling) } },
    ],
    ["a decoder of 100,000 levels", { decoder: deep }],
    ["sequences of 100,000 levels", { decoder: nested("decoders", 100_000) }],
    ["a normalizer of 100,000 levels", { normalizer: nested("normalizers", 100_000) }],
  ])("%s", (_, fields) => {
    expect(() => new Tokenizer({ ...json, ...fields }, null)).toThrow(
      expect.objectContaining({ code: "invalid_tokenizer", data: expect.objectContaining({ file: "tokenizer.json" }) }),
    );
  });

  it("a rule that fails on a text only", () => {
    const split = { type: "Split", pattern: { String: " " }, behavior: 5, invert: false };
    const tokenizer = new Tokenizer({ ...json, pre_tokenizer: split }, null);
    expect(() => tokenizer.encode("a b", plain)).toThrow(expect.objectContaining({ code: "invalid_tokenizer" }));
  });
});

function nested(field: string, depth: number): unknown {
  let step: Record<string, unknown> = { type: "Sequence", [field]: [] };
  for (let level = 0; level < depth; level++) step = { type: "Sequence", [field]: [step] };
  return step;
}
