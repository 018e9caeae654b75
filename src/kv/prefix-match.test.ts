import { describe, expect, test } from "vitest";
import { geometryWithWindows } from "./geometry.fixture";
import { longestPrefix, numBlocksBehind } from "./prefix-match";

const BLOCK_SIZE = 4;

test.each([
  [null, null],
  [1, 0],
  [2, 1],
  [5, 1],
  [6, 2],
  [9, 2],
  [10, 3],
])("a window of %s needs %s blocks of 4 behind a boundary", (window, expected) => {
  expect(numBlocksBehind(window, BLOCK_SIZE)).toBe(expected);
});

/** `cached` has a string a group: `x` where the block of that index is cached. */
function find(windows: readonly (number | null)[], cached: readonly string[], maxBlocks = cached[0].length): number {
  const geometry = geometryWithWindows(windows, BLOCK_SIZE);
  return longestPrefix(geometry, maxBlocks, (group, index) => cached[group][index] === "x");
}

describe("one group", () => {
  test.each([
    { name: "full: up to the first gap", window: null, cached: "xx.x", expected: 2 },
    { name: "full: nothing without the first block", window: null, cached: ".xxx", expected: 0 },
    { name: "window: the last run that is long enough", window: 6, cached: "x.xx.x", expected: 4 },
    { name: "window: a longer run counts to its end", window: 6, cached: ".xxx..", expected: 4 },
    { name: "window: a shorter run from 0 on is enough", window: 10, cached: "xx.x.x", expected: 2 },
    { name: "window: no run, no hit", window: 6, cached: ".x.x.x", expected: 0 },
    { name: "window of one token: needs nothing behind", window: 1, cached: "....", expected: 4 },
  ])("$name", ({ window, cached, expected }) => {
    expect(find([window], [cached])).toBe(expected);
  });

  test("never beyond maxBlocks, whatever is cached", () => {
    expect([0, 1, 2, 3].map((maxBlocks) => find([null], ["xxx"], maxBlocks))).toEqual([0, 1, 2, 3]);
    expect([0, 1, 2, 3].map((maxBlocks) => find([6], [".xx"], maxBlocks))).toEqual([0, 0, 0, 3]);
  });
});

describe("several groups: a fixed point", () => {
  test.each([
    { name: "the full group cuts, the window agrees", windows: [null, 6], cached: ["xxx...", "xxxxxx"], expected: 3 },
    { name: "the window cuts below the full group", windows: [null, 6], cached: ["xxxxxx", "xx...x"], expected: 2 },
    { name: "the window is deeper, but not at the cut", windows: [null, 6], cached: ["xxxx..", "x...xx"], expected: 1 },
    { name: "each cuts the other in turn", windows: [4, 5], cached: [".x.x.x", ".xx.x."], expected: 2 },
    { name: "they never meet", windows: [4, 5], cached: [".x.x.x", "..x.x."], expected: 0 },
  ])("$name", ({ windows, cached, expected }) => {
    expect(find(windows, cached)).toBe(expected);
  });
});

/** By definition: the farthest boundary at which every block that the next query sees is cached in every group. */
function bruteForce(windows: readonly (number | null)[], cached: readonly string[]): number {
  const isHit = (boundary: number) =>
    windows.every((window, group) => {
      const firstSeen = window === null ? 0 : Math.max(0, boundary * BLOCK_SIZE - window + 1);
      for (let position = firstSeen; position < boundary * BLOCK_SIZE; position++) {
        if (cached[group][Math.floor(position / BLOCK_SIZE)] !== "x") return false;
      }
      return true;
    });
  let farthest = 0;
  for (let boundary = 1; boundary <= cached[0].length; boundary++) if (isHit(boundary)) farthest = boundary;
  return farthest;
}

/** Every way to have some of `numBlocks` blocks cached. */
function allSets(numBlocks: number): string[] {
  return Array.from({ length: 2 ** numBlocks }, (_, bits) => bits.toString(2).padStart(numBlocks, "0")).map((set) =>
    set.replaceAll("0", ".").replaceAll("1", "x"),
  );
}

describe("agrees with the definition over all cached sets", () => {
  test.each([1, 2, 5, 6, 9, 10, 100, null])("one group, window %s, up to 7 blocks", (window) => {
    for (const numBlocks of [1, 4, 7]) {
      for (const set of allSets(numBlocks)) expect(find([window], [set]), set).toBe(bruteForce([window], [set]));
    }
  });

  test.each([
    { windows: [null, 1], numBlocks: 5 },
    { windows: [null, 5], numBlocks: 5 },
    { windows: [null, 10], numBlocks: 5 },
    { windows: [5, 6], numBlocks: 5 },
    { windows: [null, 5, 9], numBlocks: 4 },
  ])("groups $windows, $numBlocks blocks", ({ windows, numBlocks }) => {
    const sets = allSets(numBlocks);
    let combinations: string[][] = [[]];
    for (const _ of windows) combinations = combinations.flatMap((rest) => sets.map((set) => [...rest, set]));
    const wrong = combinations.filter((cached) => find(windows, cached) !== bruteForce(windows, cached));
    expect(wrong).toEqual([]);
  });
});
