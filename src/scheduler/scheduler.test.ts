import { afterEach, describe, expect, test } from "vitest";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { Request, type RequestOptions } from "./request";
import { Scheduler } from "./scheduler";
import type { SchedulerOptions } from "./scheduler-options";
import type { SchedulerOutput, StepResult } from "./scheduler-output";

const SAMPLING = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: [0, 0] } as const;
const EOS = 2;
const schedulers: Scheduler[] = [];

afterEach(() => {
  for (const scheduler of schedulers.splice(0)) scheduler.checkIntegrity();
});

function makeScheduler(options: Partial<SchedulerOptions> = {}): Scheduler {
  const scheduler = new Scheduler({
    geometry: geometryWithWindows([null]),
    numBlocks: 17,
    maxNumRunning: 4,
    maxNumBatchedTokens: 32,
    maxPrefillChunkTokens: null,
    maxModelLen: 200,
    ...options,
  });
  schedulers.push(scheduler);
  return scheduler;
}

function makeRequest(requestId: string, numPromptTokens: number, options: Partial<RequestOptions> = {}): Request {
  const promptTokenIds = Array.from({ length: numPromptTokens }, (_, i) => 100 + i);
  return new Request({ requestId, promptTokenIds, sampling: SAMPLING, maxTokens: 4, eosTokenIds: [EOS], ...options });
}

/** The result of a step in which every request that samples gets `tokenId`. */
function resultOf(output: SchedulerOutput, tokenId = 7, finite = true): StepResult {
  const sampling = output.scheduled.filter((entry) => entry.samples);
  return { stepIndex: output.stepIndex, sampled: sampling.map(({ requestId }) => ({ requestId, tokenId, finite })) };
}

/** [request, row, start, tokens, source, samples] of each entry. */
function summary(output: SchedulerOutput | null) {
  return output?.scheduled.map((entry) => [
    entry.requestId,
    entry.row,
    entry.startPosition,
    entry.numTokens,
    entry.tokens.kind,
    entry.samples,
  ]);
}

function step(scheduler: Scheduler, tokenId?: number) {
  const output = scheduler.schedule()!;
  return { summary: summary(output), updates: scheduler.update(output, resultOf(output, tokenId)) };
}

describe("the life of one request", () => {
  test("prefill in chunks, then decode, with exact block ids", () => {
    const scheduler = makeScheduler({ maxPrefillChunkTokens: 7 });
    const request = makeRequest("a", 16, { maxTokens: 2 });
    scheduler.addRequest(request);
    const first = scheduler.schedule()!;
    expect(first).toEqual({
      stepIndex: 0,
      newRows: [{ requestId: "a", row: 0, sampling: SAMPLING }],
      scheduled: [
        {
          requestId: "a",
          row: 0,
          startPosition: 0,
          numTokens: 7,
          tokens: { kind: "ids", ids: [100, 101, 102, 103, 104, 105, 106] },
          blockTableUpdates: [{ group: 0, firstIndex: 0, blockIds: [1] }],
          samples: false,
        },
      ],
      numTokens: 7,
    });
    expect(scheduler.update(first, resultOf(first))).toEqual([]);
    expect(step(scheduler)).toEqual({ summary: [["a", 0, 7, 7, "ids", false]], updates: [] });
    expect(step(scheduler, 5)).toEqual({
      summary: [["a", 0, 14, 2, "ids", true]],
      updates: [{ requestId: "a", newTokenIds: [5], endsWithEos: false, finishReason: null, error: null }],
    });
    const decode = scheduler.schedule()!;
    expect(decode.newRows).toEqual([]);
    expect(decode.scheduled[0].tokens).toEqual({ kind: "last-sampled" });
    expect(decode.scheduled[0].blockTableUpdates).toEqual([{ group: 0, firstIndex: 1, blockIds: [2] }]);
    expect(scheduler.update(decode, resultOf(decode, 6))).toEqual([
      { requestId: "a", newTokenIds: [6], endsWithEos: false, finishReason: "length", error: null },
    ]);
    expect(request.outputTokenIds).toEqual([5, 6]);
    expect(request.finishReason).toBe("length");
    expect(scheduler.hasUnfinished).toBe(false);
    expect(scheduler.schedule()).toBeNull();
    expect(scheduler.numFreeBlocks).toBe(16);
  });

  test("an EOS id ends it, is reported and flagged, and wins over the length", () => {
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 3, { maxTokens: 1 }));
    expect(step(scheduler, EOS).updates).toEqual([
      { requestId: "a", newTokenIds: [EOS], endsWithEos: true, finishReason: "stop", error: null },
    ]);
    expect(scheduler.hasUnfinished).toBe(false);
  });

  test("the context ends it when maxTokens does not", () => {
    const scheduler = makeScheduler({ maxModelLen: 10 });
    const request = makeRequest("a", 8, { maxTokens: 1000 });
    scheduler.addRequest(request);
    expect(step(scheduler).updates[0].finishReason).toBeNull();
    expect(step(scheduler).updates[0].finishReason).toBe("length");
    expect(request.numTokens).toBe(10);
  });

  test("logits that are not finite end that request alone", () => {
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 3));
    scheduler.addRequest(makeRequest("b", 3));
    const output = scheduler.schedule()!;
    const { stepIndex, sampled } = resultOf(output);
    const updates = scheduler.update(output, { stepIndex, sampled: [{ ...sampled[0], finite: false }, sampled[1]] });
    expect(updates).toMatchObject([
      { requestId: "a", newTokenIds: [], finishReason: "error", error: { code: "numerical", data: { position: 3 } } },
      { requestId: "b", newTokenIds: [7], finishReason: null, error: null },
    ]);
    expect(step(scheduler).summary).toEqual([["b", 1, 3, 1, "last-sampled", true]]);
  });
});

describe("the batch", () => {
  test("order: decodes, prefills under way, then the queue, within the token budget", () => {
    const scheduler = makeScheduler({ maxNumBatchedTokens: 20 });
    scheduler.addRequest(makeRequest("long", 45));
    scheduler.addRequest(makeRequest("short", 12));
    expect(step(scheduler).summary).toEqual([["long", 0, 0, 20, "ids", false]]);
    expect(step(scheduler).summary).toEqual([["long", 0, 20, 20, "ids", false]]);
    expect(step(scheduler).summary).toEqual([
      ["long", 0, 40, 5, "ids", true],
      ["short", 1, 0, 12, "ids", true],
    ]);
    scheduler.addRequest(makeRequest("late", 30));
    scheduler.addRequest(makeRequest("later", 2));
    expect(step(scheduler).summary).toEqual([
      ["long", 0, 45, 1, "last-sampled", true],
      ["short", 1, 12, 1, "last-sampled", true],
      ["late", 2, 0, 18, "ids", false],
    ]);
    expect(step(scheduler).summary).toEqual([
      ["long", 0, 46, 1, "last-sampled", true],
      ["short", 1, 13, 1, "last-sampled", true],
      ["late", 2, 18, 12, "ids", true],
      ["later", 3, 0, 2, "ids", true],
    ]);
  });

  test("a chunk limit is a request's own", () => {
    const scheduler = makeScheduler({ maxPrefillChunkTokens: 8 });
    for (const requestId of ["a", "b"]) scheduler.addRequest(makeRequest(requestId, 9));
    expect(step(scheduler).summary).toEqual([
      ["a", 0, 0, 8, "ids", false],
      ["b", 1, 0, 8, "ids", false],
    ]);
    expect(step(scheduler).summary).toEqual([
      ["a", 0, 8, 1, "ids", true],
      ["b", 1, 8, 1, "ids", true],
    ]);
  });

  test("rows: at most maxNumRunning, the lowest free one first", () => {
    const scheduler = makeScheduler({ maxNumRunning: 2 });
    scheduler.addRequest(makeRequest("a", 2, { maxTokens: 1 }));
    scheduler.addRequest(makeRequest("b", 2));
    scheduler.addRequest(makeRequest("c", 2));
    expect(step(scheduler).summary?.map(([id, row]) => [id, row])).toEqual([
      ["a", 0],
      ["b", 1],
    ]);
    expect(scheduler.numWaiting).toBe(1);
    const output = scheduler.schedule()!;
    expect(output.newRows).toEqual([{ requestId: "c", row: 0, sampling: SAMPLING }]);
    expect(scheduler.schedule()).toBeNull();
    scheduler.update(output, resultOf(output));
  });

  test("steps in flight are of different requests", () => {
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 4));
    const first = scheduler.schedule()!;
    expect(scheduler.schedule()).toBeNull();
    scheduler.addRequest(makeRequest("b", 4));
    const second = scheduler.schedule()!;
    expect(summary(second)).toEqual([["b", 1, 0, 4, "ids", true]]);
    scheduler.update(first, resultOf(first));
    expect(summary(scheduler.schedule())).toEqual([["a", 0, 4, 1, "last-sampled", true]]);
    scheduler.update(second, resultOf(second));
  });
});

describe("admission", () => {
  test("a request is admitted only when its whole life fits beside the others'; the head keeps its place", () => {
    // 16 blocks: "a" writes 4 + 99 positions = 7 blocks, "b" 10 blocks, "c" 1 block
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 4, { maxTokens: 100 }));
    scheduler.addRequest(makeRequest("b", 150, { maxTokens: 2 }));
    scheduler.addRequest(makeRequest("c", 4));
    expect(step(scheduler).summary).toEqual([["a", 0, 0, 4, "ids", true]]);
    expect(step(scheduler).summary).toEqual([["a", 0, 4, 1, "last-sampled", true]]);
    scheduler.abort("a");
    expect(step(scheduler).summary).toEqual([["b", 0, 0, 32, "ids", false]]);
  });

  test("a sliding model reserves its window, not its context", () => {
    const scheduler = makeScheduler({ geometry: geometryWithWindows([16]), numBlocks: 8, maxPrefillChunkTokens: 16 });
    // 15 + 16 neighbouring tokens touch up to 3 blocks
    for (const requestId of ["a", "b", "c"]) scheduler.addRequest(makeRequest(requestId, 190));
    expect(step(scheduler).summary).toEqual([
      ["a", 0, 0, 16, "ids", false],
      ["b", 1, 0, 16, "ids", false],
    ]);
  });

  test("what can never run is refused at the door with its numbers", () => {
    const scheduler = makeScheduler();
    const add = (request: Request) => () => scheduler.addRequest(request);
    expect(add(makeRequest("a", 0))).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param: "prompt" } }),
    );
    expect(add(makeRequest("a", 1, { maxTokens: 0 }))).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param: "max_tokens" } }),
    );
    expect(add(makeRequest("a", 200))).toThrow(
      expect.objectContaining({
        code: "context_length_exceeded",
        data: { numPromptTokens: 200, maxModelLen: 200 },
      }),
    );
    const small = makeScheduler({ numBlocks: 5 });
    expect(() => small.addRequest(makeRequest("a", 62, { maxTokens: 4 }))).toThrow(
      expect.objectContaining({ code: "cache_too_small", data: { numBlocksNeeded: 5, numBlocks: 4 } }),
    );
    small.addRequest(makeRequest("a", 62, { maxTokens: 3 }));
    expect(() => small.addRequest(makeRequest("a", 1))).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param: "requestId" } }),
    );
    expect(scheduler.hasUnfinished).toBe(false);
  });

  test("impossible sizes are refused", () => {
    const bad: Partial<SchedulerOptions>[] = [
      { maxNumRunning: 0 },
      { maxModelLen: 1.5 },
      { maxPrefillChunkTokens: 0 },
      { maxNumBatchedTokens: 3 },
    ];
    for (const options of bad) {
      expect(() => makeScheduler(options)).toThrow(
        expect.objectContaining({ code: "invalid_request", data: { param: Object.keys(options)[0] } }),
      );
    }
  });
});

describe("ends from outside", () => {
  test("abort while waiting: it never runs", () => {
    const scheduler = makeScheduler({ maxNumRunning: 1 });
    for (const requestId of ["a", "b", "c"]) scheduler.addRequest(makeRequest(requestId, 2, { maxTokens: 1 }));
    expect(scheduler.abort("b")).toBe(true);
    expect(step(scheduler).summary?.[0][0]).toBe("a");
    expect(step(scheduler).summary?.[0][0]).toBe("c");
    expect(scheduler.hasUnfinished).toBe(false);
  });

  test("abort between steps frees at once", () => {
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 40));
    step(scheduler);
    expect(scheduler.numFreeBlocks).toBe(14);
    expect(scheduler.abort("a")).toBe(true);
    expect(scheduler.numFreeBlocks).toBe(16);
    expect(scheduler.hasUnfinished).toBe(false);
  });

  test("abort with a step in flight: output dropped, row and blocks kept until it is processed", () => {
    const scheduler = makeScheduler({ maxNumRunning: 1 });
    const request = makeRequest("a", 20);
    scheduler.addRequest(request);
    scheduler.addRequest(makeRequest("b", 2));
    const output = scheduler.schedule()!;
    expect(scheduler.abort("a")).toBe(true);
    expect(scheduler.abort("a")).toBe(false);
    expect(scheduler.schedule()).toBeNull();
    expect(scheduler.numFreeBlocks).toBe(14);
    expect(scheduler.hasUnfinished).toBe(true);
    scheduler.checkIntegrity();
    expect(scheduler.update(output, resultOf(output))).toEqual([]);
    expect(request.outputTokenIds).toEqual([]);
    expect(request.finishReason).toBe("abort");
    expect(step(scheduler).summary).toEqual([["b", 0, 0, 2, "ids", true]]);
  });

  test("an aborted request's entry does not shift the ids of the others", () => {
    const scheduler = makeScheduler();
    for (const requestId of ["a", "b"]) scheduler.addRequest(makeRequest(requestId, 2));
    const output = scheduler.schedule()!;
    scheduler.abort("a");
    const { stepIndex, sampled } = resultOf(output);
    const ids = sampled.map((entry, i) => ({ ...entry, tokenId: 50 + i }));
    expect(scheduler.update(output, { stepIndex, sampled: ids })).toMatchObject([
      { requestId: "b", newTokenIds: [51] },
    ]);
  });

  test("finish keeps its reason; an unknown or ended request is no error", () => {
    const scheduler = makeScheduler();
    const request = makeRequest("a", 2);
    scheduler.addRequest(request);
    step(scheduler);
    expect(scheduler.finish("a", "stop")).toBe(true);
    expect(request.finishReason).toBe("stop");
    expect(scheduler.finish("a", "stop")).toBe(false);
    expect(scheduler.abort("never here")).toBe(false);
  });

  test("a step cannot be processed twice or with another's result", () => {
    const scheduler = makeScheduler();
    scheduler.addRequest(makeRequest("a", 2, { maxTokens: 2 }));
    const output = scheduler.schedule()!;
    const result = resultOf(output);
    expect(() => scheduler.update(output, { ...result, stepIndex: 1 })).toThrow("step 0 got result 1");
    scheduler.update(output, result);
    step(scheduler);
    expect(() => scheduler.update(output, result)).toThrow("processed twice");
  });
});
