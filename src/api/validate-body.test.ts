import { describe, expect, it } from "vitest";
import { FAKE_INFO } from "../testing/fake-engine-worker";
import { readChat } from "./chat-extras/chat";
import { chatLogprobs } from "./response-format";
import { plainMessages, validateChatBody, validateCompletionBody, validatePrompt } from "./validate-body";

const hello = [{ role: "user", content: "Hello" }];
/** As the long way takes a chat, which is that of all that is not plain. */
function chat(fields: object) {
  const body = { messages: hello, ...fields };
  return validateChatBody(body, "tiny", readChat(body, FAKE_INFO, chatLogprobs).request);
}
function completion(fields: object) {
  const body = { prompt: "Once", ...fields };
  return validateCompletionBody(body, "tiny", [validatePrompt(body.prompt)]);
}
const refusal = (code: string, param: string) => expect.objectContaining({ code, data: { param } });

const UNSET = {
  temperature: null,
  topP: null,
  topK: null,
  minP: null,
  seed: null,
  repetitionPenalty: null,
  presencePenalty: null,
  frequencyPenalty: null,
  logitBias: null,
  numLogprobs: null,
};

describe("validateChatBody", () => {
  it("leaves what is absent to the model's defaults", () => {
    expect(chat({})).toEqual({
      inputs: [{ kind: "chat", messages: hello }],
      n: 1,
      request: {
        maxTokens: null,
        sampling: UNSET,
        stop: [],
        priority: 0,
        usePrefixCache: true,
        kvStore: "all",
        cacheSalt: null,
      },
      stream: false,
      includeUsage: false,
      returnTokenIds: false,
    });
  });

  it("reads every field", () => {
    const body = chat({
      model: "tiny",
      max_completion_tokens: 9,
      temperature: 0.5,
      top_p: 0,
      top_k: 40,
      min_p: 0.1,
      seed: 7,
      repetition_penalty: 1.1,
      presence_penalty: -2,
      frequency_penalty: 0.5,
      logit_bias: { 50256: 2.5, 7: -100 },
      logprobs: true,
      top_logprobs: 3,
      stop: ["a", "b"],
      kv: { cache: false, store: "ram" },
      cache_salt: "mine",
      priority: -2,
      stream: true,
      stream_options: { include_usage: true },
      n: 16,
      return_token_ids: true,
    });
    expect(body).toEqual({
      inputs: [{ kind: "chat", messages: hello }],
      n: 16,
      request: {
        maxTokens: 9,
        sampling: {
          temperature: 0.5,
          topP: 0,
          topK: 40,
          minP: 0.1,
          seed: [7, 0],
          repetitionPenalty: 1.1,
          presencePenalty: -2,
          frequencyPenalty: 0.5,
          logitBias: new Map([
            [7, -100],
            [50256, 2.5],
          ]),
          numLogprobs: 3,
        },
        stop: ["a", "b"],
        priority: -2,
        usePrefixCache: false,
        kvStore: "ram",
        cacheSalt: "mine",
      },
      stream: true,
      includeUsage: true,
      returnTokenIds: true,
    });
  });

  it("takes null for absent, in optional fields of every kind", () => {
    const nulls = {
      model: null,
      max_tokens: null,
      stop: null,
      stream: null,
      stream_options: null,
      tools: null,
      n: null,
      kv: null,
      cache_salt: null,
      priority: null,
      logit_bias: null,
      logprobs: null,
      top_logprobs: null,
      presence_penalty: null,
    };
    expect(chat(nulls)).toEqual(chat({}));
    expect(chat({ kv: { cache: null, store: null } })).toEqual(chat({}));
  });

  it("accepts and ignores the fields that are documented to have no effect", () => {
    expect(chat({ user: "me", metadata: { a: 1 }, store: true, service_tier: "auto" })).toEqual(chat({}));
  });

  it("takes logprobs without a number of alternatives, and their absence", () => {
    expect(chat({ logprobs: true }).request.sampling.numLogprobs).toBe(0);
    expect(chat({ logprobs: false }).request.sampling.numLogprobs).toBeNull();
  });

  it("takes as many biases as it says", () => {
    const logit_bias = Object.fromEntries(Array.from({ length: 1024 }, (_, id) => [id, 1]));
    expect(chat({ logit_bias }).request.sampling.logitBias?.size).toBe(1024);
  });

  it.each([
    [-1, [0xffffffff, 0xffffffff]],
    [2 ** 32, [0, 1]],
    [-(2 ** 32), [0, 0xffffffff]],
    [Number.MAX_SAFE_INTEGER, [0xffffffff, 0x1fffff]],
    [Number.MIN_SAFE_INTEGER, [1, 0xffe00000]],
  ])("splits the seed %d into 64-bit halves", (seed, halves) => {
    expect(chat({ seed }).request.sampling.seed).toEqual(halves);
  });

  it.each([
    [{ max_tokens: 0 }, "max_tokens"],
    [{ max_tokens: 3, max_completion_tokens: 4 }, "max_completion_tokens"],
    [{ temperature: 2.1 }, "temperature"],
    [{ temperature: Number.NaN }, "temperature"],
    [{ temperature: "1" }, "temperature"],
    [{ top_p: -0.1 }, "top_p"],
    [{ top_k: 1.5 }, "top_k"],
    [{ min_p: 2 }, "min_p"],
    [{ seed: 2 ** 53 }, "seed"],
    [{ repetition_penalty: 0 }, "repetition_penalty"],
    [{ repetition_penalty: 10.1 }, "repetition_penalty"],
    [{ presence_penalty: 2.1 }, "presence_penalty"],
    [{ frequency_penalty: "1" }, "frequency_penalty"],
    [{ logit_bias: [1] }, "logit_bias"],
    [{ logit_bias: { "01": 1 } }, "logit_bias"],
    [{ logit_bias: { "-1": 1 } }, "logit_bias"],
    [{ logit_bias: { 7: 101 } }, "logit_bias.7"],
    [{ logit_bias: { 7: null } }, "logit_bias.7"],
    [{ logit_bias: Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 1])) }, "logit_bias"],
    [{ logprobs: 1 }, "logprobs"],
    [{ logprobs: true, top_logprobs: 21 }, "top_logprobs"],
    [{ top_logprobs: 0 }, "top_logprobs"],
    [{ logprobs: false, top_logprobs: 2 }, "top_logprobs"],
    [{ stop: ["a", "b", "c", "d", "e"] }, "stop"],
    [{ stop: ["a", ""] }, "stop[1]"],
    [{ stop: 3 }, "stop"],
    [{ stream: "yes" }, "stream"],
    [{ stream_options: { include_usage: true } }, "stream_options"],
    [{ stream: true, stream_options: { include_usage: 1 } }, "stream_options.include_usage"],
    [{ kv: true }, "kv"],
    [{ kv: { cache: 0 } }, "kv.cache"],
    [{ kv: { store: "all" } }, "kv.store"],
    [{ cache_salt: "" }, "cache_salt"],
    [{ cache_salt: 7 }, "cache_salt"],
    [{ priority: 0.5 }, "priority"],
    [{ n: 0 }, "n"],
    [{ n: 17 }, "n"],
    [{ return_token_ids: 1 }, "return_token_ids"],
  ])("refuses %j as invalid, naming %s", (fields, param) => {
    expect(() => chat(fields)).toThrow(refusal("invalid_request", param));
  });

  it.each([
    [{ length_penalty: 0.5 }, "length_penalty"],
    [{ prompt: "Once" }, "prompt"],
    [{ kv: { keep: "none" } }, "kv.keep"],
    [{ stream: true, stream_options: { more: 1 } }, "stream_options.more"],
  ])("refuses %j as unsupported, naming %s", (fields, param) => {
    expect(() => chat(fields)).toThrow(refusal("unsupported_parameter", param));
  });

  it("refuses another model than the loaded one, and names both", () => {
    expect(chat({ model: "tiny" })).toEqual(chat({}));
    const data = { model: "other", available: ["tiny"] };
    expect(() => chat({ model: "other" })).toThrow(expect.objectContaining({ code: "model_not_found", data }));
  });
});

describe("validateCompletionBody", () => {
  it("takes text and generates 16 tokens unless told", () => {
    expect(completion({})).toMatchObject({ inputs: [{ kind: "text", text: "Once" }], request: { maxTokens: 16 } });
    expect(completion({ max_tokens: 3 }).request.maxTokens).toBe(3);
  });

  it("takes a number of logprobs", () => {
    expect([0, 5].map((logprobs) => completion({ logprobs }).request.sampling.numLogprobs)).toEqual([0, 5]);
    for (const logprobs of [-1, 6, true]) {
      expect(() => completion({ logprobs })).toThrow(refusal("invalid_request", "logprobs"));
    }
  });

  it("takes token ids", () => {
    expect(completion({ prompt: [2, 0, 7] }).inputs).toEqual([{ kind: "tokens", tokenIds: [2, 0, 7] }]);
  });

  it.each([[undefined], [null], [7]])("refuses the prompt %j", (prompt) => {
    expect(() => completion({ prompt })).toThrow(refusal("invalid_request", "prompt"));
  });

  it.each([["a"], [-1], [1.5], [[1]], [null]])("refuses %j among the ids of a prompt, by its place", (notAnId) => {
    expect(() => completion({ prompt: [2, notAnId, 3] })).toThrow(refusal("invalid_request", "prompt[1]"));
  });

  it.each(["messages", "max_completion_tokens", "echo", "suffix", "best_of", "top_logprobs"])("refuses %s", (field) => {
    expect(() => completion({ [field]: 1 })).toThrow(refusal("unsupported_parameter", field));
  });
});

describe("plainMessages", () => {
  it("gives messages of text as they are, an answer's message among them", () => {
    const answer = { role: "assistant", content: "Hi", refusal: null, name: undefined };
    const messages = [{ role: "system", content: "Be brief." }, ...hello, answer];
    expect(plainMessages(messages)).toEqual([messages[0], ...hello, { role: "assistant", content: "Hi" }]);
  });

  it.each([
    [undefined],
    [[]],
    ["Hello"],
    [[null]],
    [[{ role: "developer", content: "a" }]],
    [[{ role: "user", content: [] }]],
    [[{ role: "user", content: "a", name: "Ann" }]],
    [[...hello, { role: "assistant", content: null, tool_calls: [] }]],
  ])("leaves %j to a closer look", (messages) => {
    expect(plainMessages(messages)).toBeNull();
  });
});
