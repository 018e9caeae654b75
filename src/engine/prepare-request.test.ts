import { describe, expect, it } from "vitest";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { BOS, EOS, id, makeParts, makeRequest } from "../testing/engine-parts";
import { ScriptedRunner } from "../testing/scripted-runner";
import { ChatTemplate } from "../tokenizer/chat-template";
import { encodePrompt, preparePrefetch, prepareRequest } from "./prepare-request";

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

  it("renders a chat with what the caller gave the template, and counts its tokens alike", () => {
    const source =
      "{% for t in tools %}{{ t.function.name }}{% endfor %}{{ more }}{% if add_generation_prompt %}c{% endif %}";
    const chatTemplate = new ChatTemplate(source, {});
    const input = {
      kind: "chat",
      messages: [],
      tools: [{ type: "function", function: { name: "ab", description: "", parameters: {} } }],
      templateKwargs: { more: "d" },
      addGenerationPrompt: false,
    } as const;
    const expected = [BOS, id("a"), id("b"), id("d")];
    const chat = { ...parts, chatTemplate };
    expect(prepareRequest(makeRequest("r", { input }), chat).promptTokenIds).toEqual(expected);
    expect(preparePrefetch({ requestId: "r", input, cacheSalt: null }, chat).promptTokenIds).toEqual(expected);
    expect(encodePrompt({ ...input, addGenerationPrompt: true }, chat)).toEqual([...expected, id("c")]);
  });

  it("takes sampling from the caller, then the model, then OpenAI", () => {
    const samplingDefaults = { temperature: 0.7, topK: null, topP: 0.95, minP: null, repetitionPenalty: 1.1 };
    const sampling = { ...UNSET, temperature: 0, minP: 0.1, seed: [3, 4] as const };
    const prepared = prepareRequest(makeRequest("r", { sampling }), { ...parts, samplingDefaults });
    const fromModel = { topP: 0.95, repetitionPenalty: 1.1 };
    expect(prepared.sampling).toEqual({ ...NEUTRAL_SAMPLING, ...fromModel, temperature: 0, minP: 0.1, seed: [3, 4] });
    const bare = prepareRequest(makeRequest("r", { sampling: { ...UNSET, seed: [0, 0] } }), parts);
    expect(bare.sampling).toEqual(NEUTRAL_SAMPLING);
  });

  it("passes on penalties, logit bias and logprobs", () => {
    const penalties = { repetitionPenalty: 1, presencePenalty: -0.5, frequencyPenalty: 0.25 };
    const sampling = {
      ...UNSET,
      ...penalties,
      seed: [0, 0] as const,
      logitBias: new Map([[10, -100]]),
      numLogprobs: 0,
    };
    const samplingDefaults = { ...parts.samplingDefaults, repetitionPenalty: 1.1 };
    const prepared = prepareRequest(makeRequest("r", { sampling }), { ...parts, samplingDefaults });
    expect(prepared.sampling).toEqual({ ...NEUTRAL_SAMPLING, ...sampling, temperature: 1, topK: 0, topP: 1, minP: 0 });
  });

  it("names the biased id that the model does not have", () => {
    const request = makeRequest("r", { sampling: { logitBias: new Map([[12, 1]]) } });
    const data = { param: "logit_bias.12", value: 12, vocabSize: 12 };
    expect(() => prepareRequest(request, parts)).toThrow(expect.objectContaining({ code: "invalid_request", data }));
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
    const request = makeRequest("r", { input: { kind: "tokens", tokenIds: [2, 12] } });
    expect(() => prepareRequest(request, parts)).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param: "prompt[1]", value: 12, vocabSize: 12 } }),
    );
  });
});
