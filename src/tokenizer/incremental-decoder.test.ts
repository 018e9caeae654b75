import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { endsInThoughts, IncrementalDecoder, type TokenDecoding } from "./incremental-decoder";
import {
  EMBEDDED_GOLDEN_PATH,
  loadTestTokenizer,
  readTestJson,
  readTokenizerFiles,
  TOKENIZER_DIRS,
} from "./test-tokenizers";

const TEXTS = [
  "Once upon a time, there was a little girl.",
  " leading and trailing spaces  ",
  "👩‍👩‍👧‍👦 family, 🦙 llama, 🇯🇵 flag, 👍🏽 tone",
  "日本語のテキスト、中文文本、한국어 텍스트",
  "ภาษาไทยไม่มีช่องว่าง",
  "e\u0301 n\u0303 combining, \u202bRTL\u202c, \u200bzero width",
  "tabs\tand\nnewlines\r\n\n end",
];

function decodeAll(decoder: IncrementalDecoder, ids: readonly number[]): string[] {
  return [...ids.map((id) => decoder.push(id)), decoder.flush()];
}

describe.each([...TOKENIZER_DIRS.keys()])("%s", (name) => {
  const tokenizer = loadTestTokenizer(name);
  const { json, config } = readTokenizerFiles(name);
  const oracle = new HfTokenizer({ added_tokens: [], ...json }, config ?? {});
  const decodeOnce = (ids: readonly number[]) =>
    ids.length === 0 ? "" : oracle.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false });

  it("gives random ids the text of a whole decode, and never half a character", () => {
    const byteIds = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter(
      (id) => tokenizer.tokenBytes(id).length === 1 || tokenizer.isAdded(id),
    );
    // Byte tokens are what makes broken and split characters; drawn from the whole vocabulary they would be rare.
    const tokenId = fc.oneof(fc.nat(tokenizer.vocabSize - 1), fc.constantFrom(...byteIds));
    fc.assert(
      fc.property(fc.array(tokenId, { maxLength: 40 }), (ids) => {
        const parts = decodeAll(new IncrementalDecoder(tokenizer), ids);
        expect(parts.join("")).toBe(decodeOnce(ids));
        for (const part of parts) expect(part).not.toMatch(/\p{Surrogate}/u);
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  it("gives the output after a prompt the rest of their whole decode", () => {
    for (const text of TEXTS) {
      const ids = tokenizer.encode(text, { addSpecialTokens: true });
      for (let numPromptIds = 0; numPromptIds <= ids.length; numPromptIds++) {
        const prompt = new IncrementalDecoder(tokenizer);
        const promptText = ids.slice(0, numPromptIds).map((id) => prompt.push(id));
        const output = decodeAll(
          new IncrementalDecoder(tokenizer, ids.slice(0, numPromptIds)),
          ids.slice(numPromptIds),
        );
        expect([...promptText, ...output].join("")).toBe(decodeOnce(ids));
      }
    }
  });

  it("shows special tokens that are kept as a whole decode does", () => {
    const special = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).find((id) => tokenizer.isSpecial(id))!;
    const ids = [...tokenizer.encode("A dog", { addSpecialTokens: false }), special, special];
    const whole = oracle.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
    expect(decodeAll(new IncrementalDecoder(tokenizer, [], true), ids).join("")).toBe(whole);
  });

  it("tells prompts that end within thoughts", () => {
    const isThinking = (text: string) => endsInThoughts(tokenizer, tokenizer.encode(text, { addSpecialTokens: true }));
    expect(isThinking("Once<think>")).toBe(true);
    expect(isThinking("Once<think>\n\n")).toBe(true);
    expect(isThinking("<think>a")).toBe(false);
    expect(isThinking("<think>\n\n</think>\n\n")).toBe(false);
    expect(isThinking("")).toBe(false);
  });
});

it("gives the golden outputs of the embedded model their text", () => {
  const tokenizer = loadTestTokenizer("embedded");
  const { cases } = readTestJson(EMBEDDED_GOLDEN_PATH) as {
    cases: { prompt_ids: number[]; greedy_ids: number[]; text: string }[];
  };
  for (const { prompt_ids, greedy_ids, text } of cases) {
    expect(decodeAll(new IncrementalDecoder(tokenizer, prompt_ids), greedy_ids).join("")).toBe(text);
  }
});

/** A vocabulary of one byte string an id; id 99 is special. */
function byteVocabulary(pieces: readonly (readonly number[])[], stripCount = 0): TokenDecoding {
  return {
    leadingStrip: { char: " ", count: stripCount },
    isSpecial: (id) => id === 99,
    tokenBytes: (id) => Uint8Array.from(pieces[id]),
  };
}

describe("special tokens that are kept", () => {
  const pieces = [[0x61], [0xc3], [0x20, 0x62]];
  const vocabulary = (stripCount = 0): TokenDecoding => {
    const { tokenBytes, ...rest } = byteVocabulary(pieces, stripCount);
    return { ...rest, tokenBytes: (id) => (id === 99 ? new TextEncoder().encode("<|x|>") : tokenBytes(id)) };
  };

  it("are text where they come, and end a character that is not complete", () => {
    const decoder = new IncrementalDecoder(vocabulary(), [], true);
    expect(decodeAll(decoder, [0, 99, 1, 99, 0])).toEqual(["a", "<|x|>", "", "\ufffd<|x|>", "a", ""]);
  });

  it("leave the first space of a text as it is without them", () => {
    expect(decodeAll(new IncrementalDecoder(vocabulary(1), [99], true), [2, 2])).toEqual(["b", " b", ""]);
    expect(decodeAll(new IncrementalDecoder(vocabulary(1), [0], true), [2])).toEqual([" b", ""]);
  });
});

describe("single steps", () => {
  const llama = [[0xf0], [0x9f, 0xa6], [0x99], [0x61]];

  it("holds a character back until its last byte", () => {
    const decoder = new IncrementalDecoder(byteVocabulary(llama));
    expect([0, 1, 2, 3].map((id) => decoder.push(id))).toEqual(["", "", "🦙", "a"]);
    expect(decoder.flush()).toBe("");
  });

  it("replaces bytes that cannot become a character any more, at once", () => {
    const decoder = new IncrementalDecoder(byteVocabulary(llama));
    expect([0, 1, 3, 2].map((id) => decoder.push(id))).toEqual(["", "", "\ufffda", "\ufffd"]);
  });

  it("replaces a character that never became complete when it is flushed", () => {
    const decoder = new IncrementalDecoder(byteVocabulary(llama));
    expect(decodeAll(decoder, [3, 0, 1])).toEqual(["a", "", "", "\ufffd"]);
  });

  it("lets special tokens pass through a character", () => {
    const decoder = new IncrementalDecoder(byteVocabulary(llama));
    expect([0, 99, 1, 99, 2].map((id) => decoder.push(id)).join("")).toBe("🦙");
  });

  it("completes a character that the prompt began", () => {
    expect(decodeAll(new IncrementalDecoder(byteVocabulary(llama), [3, 3, 3, 3, 0, 1]), [2])).toEqual(["🦙", ""]);
  });

  it("keeps a byte order mark", () => {
    const decoder = new IncrementalDecoder(byteVocabulary([[0xef, 0xbb, 0xbf], [0x61]]));
    expect(decodeAll(decoder, [0, 1]).join("")).toBe("\ufeffa");
  });

  it("strips the first space of a text, but not of a continuation", () => {
    const words = byteVocabulary([[0x20, 0x61], [0x20], []], 1);
    expect(decodeAll(new IncrementalDecoder(words), [0, 0])).toEqual(["a", " a", ""]);
    expect(decodeAll(new IncrementalDecoder(words), [1, 0])).toEqual(["", " a", ""]);
    expect(decodeAll(new IncrementalDecoder(words, [99]), [0])).toEqual(["a", ""]);
    expect(decodeAll(new IncrementalDecoder(words, [99, 0]), [0])).toEqual([" a", ""]);
    expect(decodeAll(new IncrementalDecoder(words, [2]), [0])).toEqual(["a", ""]);
  });
});
