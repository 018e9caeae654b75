import { describe, expect, it } from "vitest";
import { BOS, EOS, id, makeParts, makeRequest } from "../testing/engine-parts";
import { ScriptedRunner } from "../testing/scripted-runner";
import { prepareRequest } from "./prepare-request";

const UNSET = { temperature: null, topK: null, topP: null, minP: null, seed: null };
const parts = makeParts(new ScriptedRunner({}));

describe("prepareRequest", () => {
  it("puts one BOS before text, none before ids, and no second one before a rendered chat", () => {
    const ids = (input: Parameters<typeof makeRequest>[1]) =>
      prepareRequest(makeRequest("r", input), parts).promptTokenIds;
    expect(ids({ input: { kind: "text", text: "ab" } })).toEqual([BOS, id("a"), id("b")]);
    expect(ids({ input: { kind: "tokens", tokenIds: [id("a")] } })).toEqual([id("a")]);
    expect(ids({ input: { kind: "chat", messages: [{ role: "user", content: "ba" }] } })).toEqual([
      BOS,
      id("b"),
      id("a"),
    ]);
  });

  it("takes sampling from the caller, then the model, then OpenAI", () => {
    const samplingDefaults = { temperature: 0.7, topK: null, topP: 0.95, minP: null };
    const sampling = { ...UNSET, temperature: 0, minP: 0.1, seed: [3, 4] as const };
    const prepared = prepareRequest(makeRequest("r", { sampling }), { ...parts, samplingDefaults });
    expect(prepared.sampling).toEqual({ temperature: 0, topK: 0, topP: 0.95, minP: 0.1, seed: [3, 4] });
    const bare = prepareRequest(makeRequest("r", { sampling: { ...UNSET, seed: [0, 0] } }), parts);
    expect(bare.sampling).toEqual({ temperature: 1, topK: 0, topP: 1, minP: 0, seed: [0, 0] });
  });

  it("draws another seed of two unsigned words for each request that has none", () => {
    const seeds = Array.from({ length: 8 }, () => {
      const { seed } = prepareRequest(makeRequest("r", { sampling: UNSET }), parts).sampling;
      expect(seed.every((word) => word === word >>> 0)).toBe(true);
      return seed.join();
    });
    expect(new Set(seeds).size).toBe(8);
  });

  it("passes on maxTokens, the ids that end a text, the priority and what the prefix cache may do", () => {
    const fields = { maxTokens: 5, priority: -3, usePrefixCache: false, cacheSalt: "mine" };
    expect(prepareRequest(makeRequest("r", fields), parts)).toMatchObject({ ...fields, eosTokenIds: [EOS] });
    expect(prepareRequest(makeRequest("r", { maxTokens: null }), parts).maxTokens).toBe(32);
  });

  it("refuses what the tokenizer writes with ids that the model does not have", () => {
    const info = { ...parts.info, vocabSize: id("b") };
    const small = { ...parts, info };
    const prepare = (input: Parameters<typeof makeRequest>[1]) => () => prepareRequest(makeRequest("r", input), small);
    const refusal = expect.objectContaining({
      code: "invalid_tokenizer",
      data: { file: "tokenizer.json", tokenId: id("b"), vocabSize: id("b") },
    });
    expect(prepare({ input: { kind: "text", text: "aa" } })).not.toThrow();
    expect(prepare({ input: { kind: "text", text: "ab" } })).toThrow(refusal);
    expect(prepare({ input: { kind: "chat", messages: [{ role: "user", content: "b" }] } })).toThrow(refusal);
  });

  it("names the token id that the model does not have", () => {
    const request = makeRequest("r", { input: { kind: "tokens", tokenIds: [2, 11] } });
    expect(() => prepareRequest(request, parts)).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param: "prompt[1]", value: 11, vocabSize: 11 } }),
    );
  });
});
