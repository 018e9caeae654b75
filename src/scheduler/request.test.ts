import { describe, expect, test } from "vitest";
import { PrefixHashes } from "../kv/prefix-hashes";
import type { Request } from "./request";
import { makeRequest, tokens } from "./scheduler.fixture";

test("what is not given has its default", () => {
  const { priority, usePrefixCache, cacheSalt, status, row, numCachedTokens } = makeRequest("a", 1);
  expect({ priority, usePrefixCache, cacheSalt, status, row, numCachedTokens }).toEqual({
    priority: 0,
    usePrefixCache: true,
    cacheSalt: null,
    status: "waiting",
    row: null,
    numCachedTokens: null,
  });
});

describe("tokenIds", () => {
  const request = makeRequest("a", [10, 11, 12]);
  request.outputTokenIds.push(20, 21);

  test.each([
    { start: 0, end: 3, expected: [10, 11, 12] },
    { start: 1, end: 2, expected: [11] },
    { start: 2, end: 4, expected: [12, 20] },
    { start: 0, end: 5, expected: [10, 11, 12, 20, 21] },
    { start: 3, end: 5, expected: [20, 21] },
    { start: 4, end: 5, expected: [21] },
    { start: 4, end: 8, expected: [21] },
    { start: 5, end: 9, expected: [] },
    { start: 2, end: 2, expected: [] },
  ])("$start to $end", ({ start, end, expected }) => {
    expect(request.tokenIds(start, end)).toEqual(expected);
  });

  test("hashes of its blocks go on over its output, as its ids become known", () => {
    const talker = makeRequest("a", 6);
    const ids = (start: number, end: number) => talker.tokenIds(start, end);
    const hashes = new PrefixHashes(4, { cacheSalt: null }, ids);
    expect(() => hashes.at(1)).toThrow("block at 4 has 2 known ids");
    talker.outputTokenIds.push(7, 8);
    const whole = [...talker.promptTokenIds, 7, 8];
    const prompt = new PrefixHashes(4, { cacheSalt: null }, (start, end) => whole.slice(start, end));
    expect([hashes.at(0), hashes.at(1)]).toEqual([prompt.at(0), prompt.at(1)]);
  });
});

test.each([
  { maxTokens: 1, maxModelLen: 100, expected: 10 },
  { maxTokens: 5, maxModelLen: 100, expected: 14 },
  { maxTokens: 5, maxModelLen: 15, expected: 14 },
  { maxTokens: 5, maxModelLen: 14, expected: 13 },
  { maxTokens: 1000, maxModelLen: 11, expected: 10 },
  { maxTokens: Number.POSITIVE_INFINITY, maxModelLen: 100, expected: 99 },
])("10 prompt tokens, maxTokens $maxTokens, context $maxModelLen: feeds $expected at most", (row) => {
  const request = makeRequest("a", 10, { maxTokens: row.maxTokens });
  expect(request.maxNumFedTokens(row.maxModelLen)).toBe(row.expected);
});

describe("advance and restart", () => {
  const counts = ({ numComputedTokens, numInFlightTokens, numOutputPlaceholders, lastStepIndex }: Request) => [
    numComputedTokens,
    numInFlightTokens,
    numOutputPlaceholders,
    lastStepIndex,
  ];

  test("a chunk samples when it reaches the last token that there is; then each token does", () => {
    const request = makeRequest("a", 6);
    expect(request.advance(5, 3)).toBe(false);
    expect(counts(request)).toEqual([5, 5, 0, 3]);
    expect(request.advance(1, 4)).toBe(true);
    expect(counts(request)).toEqual([6, 6, 1, 4]);
    expect(request.advance(1, 5)).toBe(true);
    expect(counts(request)).toEqual([7, 7, 2, 5]);
  });

  test("a new life begins with nothing computed; the known ids stay", () => {
    const request = makeRequest("a", 6);
    request.advance(6, 0);
    request.outputTokenIds.push(50);
    request.restart();
    expect(counts(request)).toEqual([0, 0, 0, -1]);
    expect([request.status, request.numPreemptions, request.numTokens]).toEqual(["preempted", 1, 7]);
    expect(request.tokenIds(0, 7)).toEqual([...tokens(97, 6), 50]);
    expect(request.advance(6, 9)).toBe(false);
    expect(request.advance(1, 9)).toBe(true);
  });
});
