import { describe, expect, test } from "vitest";
import { geometryWithWindows } from "./geometry.fixture";
import { KvCacheManager } from "./kv-cache-manager";
import { admit, feed, TestRequest, tokens } from "./kv-request.fixture";

function makeCache(windows: readonly (number | null)[], numBlocks: number, blocksPerChunk = 1): KvCacheManager {
  return new KvCacheManager(geometryWithWindows(windows, 4, blocksPerChunk), numBlocks);
}

/** A request whose tokens were all fed and whose blocks were given back. */
function runThrough(cache: KvCacheManager, tokenIds: readonly number[]): void {
  const request = new TestRequest(9, tokenIds);
  feed(cache, request, tokenIds.length - admit(cache, request));
  cache.free(9);
}

describe("a prefix of which parts are to be loaded", () => {
  test("takes what is cached before it takes blocks for the rest, and says which entries these are", () => {
    const cache = makeCache([null], 6);
    runThrough(cache, tokens(1, 9));
    // Block 1 is free and the next cached one to go; the load needs all others.
    const request = new TestRequest(0, tokens(1, 21));
    const hit = cache.prefixOf(request, 5);
    expect(hit).toMatchObject({ numTokens: 20, numFreeBlocks: 2, numMissingBlocks: 3 });
    expect(cache.admit(0, hit)).toEqual([
      { group: 0, index: 2, blockId: 3 },
      { group: 0, index: 3, blockId: 4 },
      { group: 0, index: 4, blockId: 5 },
    ]);
    expect(cache.blockIds(0, 0)).toEqual([1, 2, 3, 4, 5]);
    cache.checkIntegrity();
  });

  test("a window has blocks only for what the next query sees; entries come by index", () => {
    const cache = makeCache([null, 5], 17);
    const request = new TestRequest(0, tokens(1, 13));
    const entries = cache.admit(0, cache.prefixOf(request, 3));
    expect(entries.map(({ group, index }) => [group, index])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 2],
    ]);
    expect(cache.blockIds(0, 1).slice(0, 2)).toEqual([0, 0]);
    cache.checkIntegrity();
  });

  test("nobody can hit a block before it has arrived", () => {
    const cache = makeCache([null], 17);
    const request = new TestRequest(0, tokens(1, 13));
    const entries = cache.admit(0, cache.prefixOf(request, 3));
    const peer = new TestRequest(1, tokens(1, 13));
    expect(cache.findPrefix(peer).numTokens).toBe(0);
    cache.publishLoaded(request, entries.slice(0, 2));
    expect(cache.findPrefix(peer).numTokens).toBe(8);
    cache.publishLoaded(request, entries.slice(2));
    expect(cache.findPrefix(peer).numTokens).toBe(12);
  });

  test("its blocks are not published again by the request that goes on behind them", () => {
    const cache = makeCache([null], 17);
    const request = new TestRequest(0, tokens(1, 13));
    cache.admit(0, cache.prefixOf(request, 2));
    request.numComputedTokens = 8;
    feed(cache, request, 4);
    // The loaded blocks never arrived: only what was computed is known.
    expect(cache.isCached(request, 0, 2)).toBe(true);
    expect([0, 1].map((index) => cache.isCached(request, 0, index))).toEqual([false, false]);
  });
});

describe("chunks of the prefix cache that are about to lose a block", () => {
  test("are whole ones, each once, in the order in which their blocks go", () => {
    const cache = makeCache([null], 9, 2);
    runThrough(cache, tokens(1, 17));
    runThrough(cache, tokens(2, 5));
    // Freed tail first: 5 has no name; 4 and 3 are one chunk, 2 and 1 another; 2's first block lies alone.
    expect(cache.freeBlockIds).toEqual([6, 7, 8, 4, 3, 2, 1, 5]);
    const evicted = (numBlocks: number) =>
      cache.nextEvicted(numBlocks).map(({ blocks }) => blocks.map(({ blockId }) => blockId));
    expect(evicted(3)).toEqual([]);
    expect(evicted(4)).toEqual([[3, 4]]);
    expect(evicted(8)).toEqual([
      [3, 4],
      [1, 2],
    ]);
  });

  test("are no longer whole when one of their blocks was handed out", () => {
    const cache = makeCache([null], 5, 2);
    runThrough(cache, tokens(1, 9));
    const other = new TestRequest(0, tokens(2, 9));
    admit(cache, other);
    feed(cache, other, 9);
    expect(cache.freeBlockIds).toEqual([1]);
    expect(cache.nextEvicted(1)).toEqual([]);
  });

  test("are forgotten with the prefix cache", () => {
    const cache = makeCache([null], 9, 2);
    runThrough(cache, tokens(1, 9));
    cache.resetPrefixCache();
    expect(cache.nextEvicted(8)).toEqual([]);
  });
});
