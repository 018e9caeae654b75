import { describe, expect, test } from "vitest";
import { geometryWithWindows } from "./geometry.fixture";
import { KvCacheManager } from "./kv-cache-manager";
import { admit, feed, TestRequest, tokens } from "./kv-request.fixture";

function makeCache(windows: readonly (number | null)[], numBlocks: number): KvCacheManager {
  return new KvCacheManager(geometryWithWindows(windows, 4), numBlocks);
}

/** A request whose tokens were all fed and whose blocks were given back. */
function runThrough(cache: KvCacheManager, tokenIds: readonly number[]): void {
  const request = new TestRequest(9, tokenIds);
  feed(cache, request, tokenIds.length - admit(cache, request));
  cache.free(9);
}

describe("findPrefix", () => {
  test.each([
    [4, 0],
    [5, 4],
    [8, 4],
    [9, 8],
    [12, 8],
    [13, 12],
    [40, 12],
  ])("with 12 tokens cached, a prompt of %s that begins like them hits %s: one is left to compute", (length, hit) => {
    const cache = makeCache([null], 17);
    runThrough(cache, tokens(1, 12));
    const request = new TestRequest(0, [...tokens(1, 12), ...tokens(2, 28)].slice(0, length));
    expect(cache.findPrefix(request).numTokens).toBe(hit);
  });

  test("holds nothing and moves nothing; it counts which of its blocks are free now", () => {
    const cache = makeCache([null], 9);
    runThrough(cache, tokens(1, 12));
    const holder = new TestRequest(1, tokens(1, 9));
    admit(cache, holder);
    const { freeBlockIds } = cache;
    const request = new TestRequest(0, tokens(1, 13));
    const hit = cache.findPrefix(request);
    expect(hit.blocks.map((group) => group.map((block) => block?.blockId))).toEqual([[1, 2, 3]]);
    expect(hit.numFreeBlocks).toBe(1);
    expect(cache.findPrefix(request)).toEqual(hit);
    expect(cache.freeBlockIds).toEqual(freeBlockIds);
    cache.checkIntegrity();
  });

  test("a request without hashes neither hits nor publishes", () => {
    const cache = makeCache([null], 9);
    runThrough(cache, tokens(1, 12));
    const outsider = new TestRequest(0, tokens(1, 12), false);
    expect(admit(cache, outsider)).toBe(0);
    feed(cache, outsider, 12);
    cache.free(0);
    expect(cache.freeBlockIds).toEqual([4, 5, 6, 7, 8, 3, 2, 1]);
  });
});

describe("admit, then allocateSlots", () => {
  test("a window of one token sees nothing behind it: all but the last token is a hit, with no block", () => {
    const cache = makeCache([1], 9);
    const request = new TestRequest(0, tokens(1, 10));
    expect(admit(cache, request)).toBe(8);
    expect(feed(cache, request, 2)).toEqual([{ group: 0, firstIndex: 2, blockIds: [1] }]);
    expect(cache.blockIds(0, 0)).toEqual([0, 0, 1]);
  });

  test("hit blocks leave the free queue from its middle, and are reported with the new ones", () => {
    const cache = makeCache([null], 9);
    runThrough(cache, tokens(1, 8));
    runThrough(cache, tokens(2, 8));
    expect(cache.freeBlockIds).toEqual([5, 6, 7, 8, 2, 1, 4, 3]);
    const request = new TestRequest(0, tokens(1, 15));
    expect(admit(cache, request)).toBe(8);
    expect(cache.freeBlockIds).toEqual([5, 6, 7, 8, 4, 3]);
    expect(feed(cache, request, 7)).toEqual([{ group: 0, firstIndex: 0, blockIds: [1, 2, 5, 6] }]);
    cache.checkIntegrity();
  });

  test("the hits of all groups are held before one block is taken, even when they are next in the queue", () => {
    const cache = makeCache([null, 8], 9);
    runThrough(cache, tokens(1, 16));
    expect(cache.freeBlockIds).toEqual([4, 8, 3, 7, 2, 6, 1, 5]);
    const request = new TestRequest(0, tokens(1, 14));
    expect(cache.findPrefix(request).numFreeBlocks).toBe(5);
    admit(cache, request);
    expect(cache.numNewBlocks(request, 2)).toBe(2);
    expect(feed(cache, request, 2)).toEqual([
      { group: 0, firstIndex: 0, blockIds: [1, 2, 3, 4] },
      { group: 1, firstIndex: 1, blockIds: [6, 7, 8] },
    ]);
    expect(cache.freeBlockIds).toEqual([5]);
    cache.checkIntegrity();
  });

  test("a sliding hit begins with null blocks, which are not reported and not given back", () => {
    const cache = makeCache([5], 9);
    runThrough(cache, tokens(1, 16));
    const request = new TestRequest(0, tokens(1, 18));
    expect(admit(cache, request)).toBe(16);
    expect(cache.blockIds(0, 0)).toEqual([0, 0, 0, 4]);
    expect(feed(cache, request, 2)).toEqual([{ group: 0, firstIndex: 3, blockIds: [4, 5] }]);
    cache.free(0);
    expect(cache.freeBlockIds).toEqual([5, 6, 7, 8, 3, 2, 1, 4]);
    cache.checkIntegrity();
  });

  test("two rows hold one block; it is free when both have let go", () => {
    const cache = makeCache([null], 6);
    const [first, second] = [new TestRequest(0, tokens(1, 6)), new TestRequest(1, tokens(1, 6))];
    admit(cache, first);
    feed(cache, first, 6);
    expect(admit(cache, second)).toBe(4);
    feed(cache, second, 2);
    expect([cache.blockIds(0, 0), cache.blockIds(1, 0)]).toEqual([
      [1, 2],
      [1, 3],
    ]);
    cache.free(0);
    expect(cache.freeBlockIds).toEqual([2, 4, 5]);
    cache.free(1);
    expect(cache.freeBlockIds).toEqual([3, 2, 4, 5, 1]);
  });
});

describe("publish", () => {
  /** How much of its own tokens another request would find. */
  const found = (cache: KvCacheManager, tokenIds: readonly number[]) =>
    cache.findPrefix(new TestRequest(5, [...tokenIds, -1])).numTokens;

  test("full blocks whose step is scheduled, also while it is in flight; never a part of a block", () => {
    const cache = makeCache([null], 9);
    const request = new TestRequest(0, tokens(1, 16));
    admit(cache, request);
    const seen = [3, 1, 7, 1].map((numTokens) => {
      feed(cache, request, numTokens, true);
      return found(cache, request.tokenIds);
    });
    expect(seen).toEqual([0, 4, 8, 12]);
  });

  test("a block with a placeholder is published when the last of its ids is known, not when it is computed", () => {
    const cache = makeCache([null], 9);
    const request = new TestRequest(0, tokens(1, 6));
    admit(cache, request);
    feed(cache, request, 6);
    feed(cache, request, 1, true);
    feed(cache, request, 1, true);
    expect(request.numComputedTokens).toBe(8);
    expect(found(cache, tokens(1, 8))).toBe(4);
    request.tokenIds.push(1006);
    cache.publish(request);
    expect(found(cache, tokens(1, 8))).toBe(4);
    request.tokenIds.push(1007);
    cache.publish(request);
    expect(found(cache, tokens(1, 8))).toBe(8);
  });

  test("a block that is known, but not yet computed, is not published", () => {
    const cache = makeCache([null], 9);
    const request = new TestRequest(0, tokens(1, 7));
    admit(cache, request);
    feed(cache, request, 7);
    request.tokenIds.push(1007);
    cache.publish(request);
    expect(found(cache, tokens(1, 8))).toBe(4);
    feed(cache, request, 1);
    expect(found(cache, tokens(1, 8))).toBe(8);
  });

  test("a sliding block that left the window before its last id was known is lost to the cache alone", () => {
    const cache = makeCache([2], 9);
    const request = new TestRequest(0, tokens(1, 6));
    admit(cache, request);
    for (const numTokens of [6, 2, 1, 1]) feed(cache, request, numTokens);
    expect(cache.blockIds(0, 0)).toEqual([0, 0, 3]);
    request.tokenIds.push(...tokens(3, 6));
    cache.publish(request);
    cache.free(0);
    cache.checkIntegrity();
    // Blocks 2 and 3 have no name and are handed out next; block 1 has its own.
    expect(cache.freeBlockIds).toEqual([3, 2, 4, 5, 6, 7, 8, 1]);
  });

  test("a row that computes what another has published keeps its own block, without a name", () => {
    const cache = makeCache([null], 9);
    const [first, second] = [new TestRequest(0, tokens(1, 8)), new TestRequest(1, tokens(1, 8))];
    admit(cache, first);
    admit(cache, second);
    feed(cache, first, 8);
    feed(cache, second, 8);
    expect(cache.blockIds(1, 0)).toEqual([3, 4]);
    cache.free(1);
    cache.free(0);
    expect(cache.freeBlockIds).toEqual([3, 4, 5, 6, 7, 8, 2, 1]);
  });

  test("a hit's blocks are not hashed or published again", () => {
    const cache = makeCache([null], 9);
    runThrough(cache, tokens(1, 8));
    const request = new TestRequest(0, tokens(1, 12));
    admit(cache, request);
    const before = cache.numVisitedBlocks;
    cache.publish(request);
    expect(cache.numVisitedBlocks).toBe(before);
  });
});

describe("forgetting", () => {
  test("evict takes a row's blocks out of the cache; other rows keep what they share", () => {
    const cache = makeCache([null], 9);
    const [first, second] = [new TestRequest(0, tokens(1, 8)), new TestRequest(1, [...tokens(1, 4), ...tokens(2, 4)])];
    admit(cache, first);
    feed(cache, first, 8);
    expect(admit(cache, second)).toBe(4);
    feed(cache, second, 4);
    cache.evict(0);
    expect(cache.findPrefix(new TestRequest(5, tokens(1, 9))).numTokens).toBe(0);
    expect(cache.blockIds(1, 0)).toEqual([1, 3]);
    cache.free(0);
    cache.free(1);
    // Only block 3 still has a name, but its chain is broken.
    expect(cache.freeBlockIds).toEqual([1, 2, 4, 5, 6, 7, 8, 3]);
    expect(cache.findPrefix(new TestRequest(5, [...tokens(1, 4), ...tokens(2, 4), 7])).numTokens).toBe(0);
    cache.checkIntegrity();
  });

  test("reset: a running row keeps its blocks, and publishes only what it computes later", () => {
    const cache = makeCache([null], 9);
    const request = new TestRequest(0, tokens(1, 12));
    admit(cache, request);
    feed(cache, request, 8);
    cache.resetPrefixCache();
    feed(cache, request, 4);
    expect(cache.blockIds(0, 0)).toEqual([1, 2, 3]);
    expect(cache.findPrefix(new TestRequest(5, tokens(1, 13))).numTokens).toBe(0);
    cache.free(0);
    expect(cache.freeBlockIds).toEqual([1, 2, 4, 5, 6, 7, 8, 3]);
    cache.checkIntegrity();
  });

  test("a block that is handed out again loses its name", () => {
    const cache = makeCache([null], 4);
    runThrough(cache, tokens(1, 12));
    const request = new TestRequest(0, tokens(2, 4));
    admit(cache, request);
    expect(feed(cache, request, 4)).toEqual([{ group: 0, firstIndex: 0, blockIds: [3] }]);
    expect(cache.findPrefix(new TestRequest(5, tokens(1, 13))).numTokens).toBe(8);
    expect(cache.findPrefix(new TestRequest(5, [...tokens(2, 4), 7])).numTokens).toBe(4);
  });
});
