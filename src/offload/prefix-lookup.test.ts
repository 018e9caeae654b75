import { describe, expect, test } from "vitest";
import { kvKey } from "../kv/chunk";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { tokens } from "../kv/kv-request.fixture";
import { PrefixHashes } from "../kv/prefix-hashes";
import { type ChunkState, chunkKeyOf, lookupPrefix } from "./prefix-lookup";

const STATES: Readonly<Record<string, ChunkState>> = {
  h: "hit",
  ".": "miss",
  p: "pending",
  r: "retry",
  l: "loading",
  s: "stored",
};

interface LookOptions {
  readonly windows?: readonly (number | null)[];
  readonly blocksPerChunk?: number;
  /** What the prefix cache has, for each group; "x..x" are blocks 0 and 3. */
  readonly gpu?: readonly string[];
  /** Known tokens; unless given, one more than those of the chunks. */
  readonly numTokens?: number;
}

/**
 * Looks up a request whose chunks are, for each group, as said: hit, miss, pending, retry, loading or stored. "3: 0 1 2/1" is a prefix of
 * three blocks for which chunks 0, 1, and 2 of group 1 are loaded; "waits for 1 (pending)" comes behind it. `asked`: what was looked up.
 */
function look(
  chunks: readonly string[],
  options: LookOptions = {},
): { answer: string; asked: string; numTokens: number } {
  const { windows = [null], blocksPerChunk = 1, gpu = [] } = options;
  const geometry = geometryWithWindows(windows, 4, blocksPerChunk);
  const numTokens = options.numTokens ?? chunks[0].length * blocksPerChunk * 4 + 1;
  const promptTokenIds = tokens(1, Math.max(numTokens, 64));
  const prefixHashes = new PrefixHashes(4, { cacheSalt: null }, (start, end) => promptTokenIds.slice(start, end));
  const names = new Map<string, { name: string; state: ChunkState }>();
  chunks.forEach((states, group) => {
    [...states].forEach((state, chunk) => {
      const key = kvKey(group, prefixHashes.at((chunk + 1) * blocksPerChunk - 1));
      names.set(key, { name: `${chunk}${group > 0 ? `/${group}` : ""}`, state: STATES[state] });
    });
  });
  const asked: string[] = [];
  const request = { requestId: "a", numTokens, numComputedTokens: 0, prefixHashes, store: "all" } as const;
  const isCached = (group: number, index: number) => gpu[group]?.[index] === "x";
  const found = lookupPrefix(geometry, request, isCached, (key) => {
    asked.push(names.get(key)!.name);
    return names.get(key)!.state;
  });
  const { numBlocks, chunks: needed, waitsFor } = found;
  const wait = waitsFor ? ` waits for ${names.get(waitsFor.key)!.name} (${waitsFor.reason})` : "";
  const answer = `${numBlocks}: ${needed.map(({ key }) => names.get(key)!.name).join(" ")}${wait}`;
  return { answer, asked: asked.join(" "), numTokens: found.numTokensToLoad };
}

describe("a prefix of full attention", () => {
  test.each([
    { name: "all there", chunks: "hhh", answer: "3: 0 1 2" },
    { name: "none there", chunks: "...", answer: "0: " },
    { name: "the beginning is there", chunks: "hh.", answer: "2: 0 1" },
    { name: "a miss, then hits: nothing", chunks: ".hh", answer: "0: " },
    { name: "a single chunk", chunks: "h", answer: "1: 0" },
    { name: "no chunk", chunks: "", answer: "0: " },
    { name: "in storage: it is somewhere, and waits", chunks: "hsh", answer: "3: 0 1 2 waits for 1 (pending)" },
    { name: "in storage behind a miss: nothing", chunks: ".ss", answer: "0: " },
    { name: "not known yet: it waits", chunks: "rhh", answer: "3: 0 1 2 waits for 0 (retry)" },
    { name: "not known yet behind a hit: it waits", chunks: "hr.", answer: "2: 0 1 waits for 1 (retry)" },
    {
      name: "on its way: it waits, for a prefix that goes on behind it",
      chunks: "php",
      answer: "3: 0 1 2 waits for 0 (pending)",
    },
    { name: "on its way behind a miss: nobody waits", chunks: "h.p", answer: "1: 0" },
    { name: "loaded by another", chunks: "hlh", answer: "3: 0 1 2 waits for 1 (loading)" },
  ])("the tier has $chunks: $name", ({ chunks, answer }) => {
    expect(look([chunks]).answer).toBe(answer);
  });

  test("the scan ends at the first miss", () => {
    expect(look(["h.hh"]).asked).toBe("0 1");
  });

  test("the last token is left to compute: a chunk that ends with it is not looked up", () => {
    expect(look(["hhh"], { numTokens: 12 })).toEqual({ answer: "2: 0 1", asked: "0 1", numTokens: 8 });
    expect(look(["h"], { numTokens: 4 }).asked).toBe("");
  });

  test("what the GPU has is not loaded, not waited for, and not even asked for", () => {
    expect(look(["plhh"], { gpu: ["xx"] })).toEqual({ answer: "4: 2 3", asked: "2 3", numTokens: 8 });
  });

  test("the GPU has what is behind a miss of the tier: the prefix goes on", () => {
    expect(look([".h."], { gpu: ["x.x"] })).toEqual({ answer: "3: 1", asked: "1", numTokens: 8 });
  });
});

describe("a window of two blocks", () => {
  const windows = [8];

  test.each([
    { name: "exactly a window is there, at the end", chunks: "..hh", answer: "4: 2 3" },
    { name: "exactly a window, in the middle", chunks: ".hh..", answer: "3: 1 2" },
    { name: "of two windows the later one", chunks: "hh.hh", answer: "5: 3 4" },
    { name: "a gap: the window before it", chunks: "hh.h", answer: "2: 0 1" },
    { name: "the beginning counts as a window, however short", chunks: "h.h", answer: "1: 0" },
    { name: "less than a window behind a miss: nothing", chunks: ".h", answer: "0: " },
    { name: "none there", chunks: "...", answer: "0: " },
    { name: "no chunk", chunks: "", answer: "0: " },
    { name: "on its way: counts as there", chunks: ".hp.", answer: "3: 1 2 waits for 2 (pending)" },
    {
      name: "not known yet at the end: it waits, though a whole window lies before",
      chunks: "hhhr",
      answer: "4: 2 3 waits for 3 (retry)",
    },
    { name: "on its way, in a window that a miss has broken: nobody waits", chunks: "hh.p.", answer: "2: 0 1" },
    { name: "on its way, left of the window: nobody waits", chunks: "p.hh", answer: "4: 2 3" },
  ])("of a window, $chunks: $name", ({ chunks, answer }) => {
    expect(look([chunks], { windows }).answer).toBe(answer);
  });

  test("of a single block: the last one is enough", () => {
    expect(look(["..h"], { windows: [5] }).answer).toBe("3: 2");
  });
});

describe("several groups", () => {
  const windows = [null, 8];

  test("full attention from the beginning, the window at the end", () => {
    expect(look(["hhhh", "..hh"], { windows })).toMatchObject({ answer: "4: 0 1 2 3 2/1 3/1", numTokens: 16 });
  });

  test("the boundary is the last one at which every group has what it needs", () => {
    expect(look(["hhhh", "hhh."], { windows }).answer).toBe("3: 0 1 2 1/1 2/1");
    expect(look(["hh..", "..hh"], { windows }).answer).toBe("0: ");
  });

  test("a chunk that is on its way in a group makes nobody wait where another group ends the prefix before", () => {
    expect(look(["h...", "hhpp"], { windows }).answer).toBe("1: 0 0/1");
  });

  test("the first that is waited for, group by group", () => {
    expect(look(["hhhp", "..ll"], { windows }).answer).toBe("4: 0 1 2 3 2/1 3/1 waits for 3 (pending)");
  });
});

describe("chunks of two blocks", () => {
  test("the prefix may end in the middle of a chunk, whose ids must all be known", () => {
    expect(look(["hh"], { blocksPerChunk: 2, numTokens: 16 }).answer).toBe("3: 0 1");
    expect(look(["hh"], { blocksPerChunk: 2, numTokens: 15 }).answer).toBe("2: 0");
  });

  test("the GPU has the first of a chunk's blocks: the chunk is named for the other", () => {
    expect(look(["hh"], { blocksPerChunk: 2, gpu: ["xxx"] })).toEqual({ answer: "4: 1", asked: "1", numTokens: 4 });
  });

  test("a chunk's key is the hash of its last block", () => {
    const geometry = geometryWithWindows([null], 4, 2);
    const ids = tokens(1, 16);
    const prefixHashes = new PrefixHashes(4, { cacheSalt: null }, (start, end) => ids.slice(start, end));
    const request = { requestId: "a", numTokens: 16, numComputedTokens: 0, prefixHashes, store: "all" } as const;
    const keys = [0, 1, 2, 3, 4].map((index) => chunkKeyOf(geometry, request, 0, index));
    const [first, second] = [1, 3].map((last) => kvKey(0, prefixHashes.at(last)));
    expect(keys).toEqual([first, first, second, second, null]);
    expect(chunkKeyOf(geometry, { ...request, prefixHashes: null }, 0, 0)).toBeNull();
  });
});
