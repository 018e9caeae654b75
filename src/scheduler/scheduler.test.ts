import { describe, expect, test } from "vitest";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { deepFreeze, describeStep, EOS, makeRequest, makeScheduler, resultOf } from "./scheduler.fixture";
import type { SchedulerOutput } from "./scheduler-output";

/** The result of a step in which every request that samples gets `tokenId`. */
function resultWith(output: SchedulerOutput, tokenId: number | null) {
  return resultOf(output, () => tokenId);
}

describe("the life of one request", () => {
  test("prefill in chunks, then decode: the whole of every step", () => {
    const scheduler = makeScheduler({ maxPrefillChunkTokens: 3 });
    const request = makeRequest("a", [11, 12, 13, 14, 15, 16, 17, 18], { maxTokens: 2 });
    scheduler.addRequest(request);
    const first = deepFreeze(scheduler.schedule()!);
    expect(first).toEqual({
      stepIndex: 0,
      newRows: [{ requestId: "a", row: 0, sampling: NEUTRAL_SAMPLING, history: null }],
      scheduled: [
        {
          requestId: "a",
          row: 0,
          startPosition: 0,
          numTokens: 3,
          tokens: { kind: "ids", ids: [11, 12, 13] },
          blockTableUpdates: [{ group: 0, firstIndex: 0, blockIds: [1] }],
          samples: false,
        },
      ],
      numTokens: 3,
      transfers: { stores: [], loads: [] },
    });
    expect(scheduler.update(first, resultOf(first))).toEqual([]);
    const second = scheduler.schedule()!;
    expect(second.newRows).toEqual([]);
    expect(second.scheduled[0].tokens).toEqual({ kind: "ids", ids: [14, 15, 16] });
    expect(second.scheduled[0].blockTableUpdates).toEqual([{ group: 0, firstIndex: 1, blockIds: [2] }]);
    scheduler.update(second, resultOf(second));

    const third = scheduler.schedule()!;
    expect(describeStep(third)).toBe("a@0 6..8 samples");
    expect(scheduler.update(third, resultWith(third, 5))).toEqual([
      { requestId: "a", newTokenIds: [5], newLogprobs: [], endsWithEos: false, finishReason: null, error: null },
    ]);
    const decode = scheduler.schedule()!;
    expect(decode).toEqual({
      stepIndex: 3,
      newRows: [],
      scheduled: [
        {
          requestId: "a",
          row: 0,
          startPosition: 8,
          numTokens: 1,
          tokens: { kind: "ids", ids: [5] },
          blockTableUpdates: [{ group: 0, firstIndex: 2, blockIds: [3] }],
          samples: true,
        },
      ],
      numTokens: 1,
      transfers: { stores: [], loads: [] },
    });
    expect(scheduler.update(decode, resultWith(decode, 6))).toEqual([
      { requestId: "a", newTokenIds: [6], newLogprobs: [], endsWithEos: false, finishReason: "length", error: null },
    ]);
    expect(request.outputTokenIds).toEqual([5, 6]);
    expect([request.status, request.finishReason]).toEqual(["finished", "length"]);
    expect(scheduler.hasUnfinished).toBe(false);
    expect(scheduler.schedule()).toBeNull();
    expect(scheduler.numFreeBlocks).toBe(16);
  });

  test("an EOS id ends it, is reported and flagged, and wins over the length", () => {
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 3, { maxTokens: 1 }));
    const output = scheduler.schedule()!;
    expect(scheduler.update(output, resultWith(output, EOS))).toEqual([
      { requestId: "a", newTokenIds: [EOS], newLogprobs: [], endsWithEos: true, finishReason: "stop", error: null },
    ]);
    expect(scheduler.hasUnfinished).toBe(false);
  });

  test("any of its EOS ids ends it, and only those", () => {
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 3, { eosTokenIds: [8, 9] }));
    const reasons = [EOS, 9].map((tokenId) => {
      const output = scheduler.schedule()!;
      return scheduler.update(output, resultWith(output, tokenId))[0].finishReason;
    });
    expect(reasons).toEqual([null, "stop"]);
  });

  test("the context ends it when maxTokens does not", () => {
    const scheduler = makeScheduler({ maxModelLen: 10 });
    const request = makeRequest("a", 8, { maxTokens: 1000 });
    scheduler.addRequest(request);
    const reasons = [1, 2].map(() => {
      const output = scheduler.schedule()!;
      return scheduler.update(output, resultOf(output))[0].finishReason;
    });
    expect(reasons).toEqual([null, "length"]);
    expect(request.numTokens).toBe(10);
  });

  test("finish keeps its reason; an unknown or ended request is no error", () => {
    const scheduler = makeScheduler();
    const request = makeRequest("a", 2);
    scheduler.addRequest(request);
    const output = scheduler.schedule()!;
    scheduler.update(output, resultOf(output));
    expect(scheduler.finish("a", "stop")).toBe(true);
    expect([request.status, request.finishReason, request.row]).toEqual(["finished", "stop", null]);
    expect(scheduler.finish("a", "stop")).toBe(false);
    expect(scheduler.abort("never here")).toBe(false);
    expect(scheduler.numFreeBlocks).toBe(16);
  });
});

describe("what can never run is refused at the door", () => {
  test.each([
    { name: "no prompt", numPromptTokens: 0, options: {}, param: "prompt" },
    { name: "no answer wanted", numPromptTokens: 1, options: { maxTokens: 0 }, param: "max_tokens" },
    { name: "maxTokens is no number", numPromptTokens: 1, options: { maxTokens: Number.NaN }, param: "max_tokens" },
    { name: "half a priority", numPromptTokens: 1, options: { priority: 0.5 }, param: "priority" },
    { name: "no priority", numPromptTokens: 1, options: { priority: Number.NaN }, param: "priority" },
  ])("$name", ({ numPromptTokens, options, param }) => {
    const scheduler = makeScheduler();
    expect(() => scheduler.addRequest(makeRequest("a", numPromptTokens, options))).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param } }),
    );
    expect(scheduler.hasUnfinished).toBe(false);
  });

  test("a prompt that leaves no room for one token", () => {
    const scheduler = makeScheduler({ maxModelLen: 20 });
    expect(() => scheduler.addRequest(makeRequest("a", 20))).toThrow(
      expect.objectContaining({ code: "context_length_exceeded", data: { numPromptTokens: 20, maxModelLen: 20 } }),
    );
    scheduler.addRequest(makeRequest("a", 19));
  });

  test("a request that was added before, also when it has ended", () => {
    const scheduler = makeScheduler();
    const request = makeRequest("a", 3);
    scheduler.addRequest(request);
    scheduler.abort("a");
    expect(() => scheduler.addRequest(request)).toThrow(/request a was added before/);
    expect(scheduler.hasUnfinished).toBe(false);
  });

  test("an id in use; it can be used again when its request has ended", () => {
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 1));
    expect(() => scheduler.addRequest(makeRequest("a", 2))).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param: "requestId" } }),
    );
    scheduler.abort("a");
    scheduler.addRequest(makeRequest("a", 2));
    expect(scheduler.numWaiting).toBe(1);
  });
});

describe("update takes each step once, in order, with its own result", () => {
  test("another step's result", () => {
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 2));
    const output = scheduler.schedule()!;
    const result = resultOf(output);
    expect(() => scheduler.update(output, { ...result, stepIndex: 1 })).toThrow("step 0 got result 1");
    scheduler.update(output, result);
  });

  test("a step again, and a newer one before an older one", () => {
    const scheduler = makeScheduler({ maxInFlightSteps: 2 });
    scheduler.addRequest(makeRequest("a", 2));
    const [first, second] = [scheduler.schedule()!, scheduler.schedule()!];
    expect(() => scheduler.update(second, resultOf(second))).toThrow("step 1 is not the oldest in flight");
    scheduler.update(first, resultOf(first));
    expect(() => scheduler.update(first, resultOf(first))).toThrow("step 0 is not the oldest in flight");
    scheduler.update(second, resultOf(second));
    expect(() => scheduler.update(second, resultOf(second))).toThrow("step 1 is not the oldest in flight");
  });

  test("an id for another request than the one whose turn it is", () => {
    const scheduler = makeScheduler();
    for (const requestId of ["a", "b"]) scheduler.addRequest(makeRequest(requestId, 2));
    const output = scheduler.schedule()!;
    const { stepIndex, sampled } = resultOf(output);
    expect(() => scheduler.update(output, { stepIndex, sampled: sampled.toReversed() })).toThrow(
      "sampled id of b where a's was due",
    );
    // A broken invariant leaves the step half taken in; ending its requests gives back what they held.
    for (const requestId of ["a", "b"]) scheduler.abort(requestId);
  });
});
