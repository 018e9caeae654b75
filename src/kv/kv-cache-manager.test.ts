import { describe, expect, test } from "vitest";
import { maxBlocksHeld } from "./geometry";
import { geometryWithWindows } from "./geometry.fixture";
import { KvCacheManager } from "./kv-cache-manager";
import { admit, feed, TestRequest, tokens } from "./kv-request.fixture";

function makeCache(windows: readonly (number | null)[], numBlocks: number): KvCacheManager {
  return new KvCacheManager(geometryWithWindows(windows, 4), numBlocks);
}

/** Admitted, and outside the prefix cache, so that free blocks come back in plain order. */
function admitted(cache: KvCacheManager, row: number, numTokens: number): TestRequest {
  const request = new TestRequest(row, tokens(row, numTokens), false);
  admit(cache, request);
  return request;
}

describe("one full group", () => {
  test("takes a block where a position needs one, and none in between", () => {
    const cache = makeCache([null], 5);
    const request = admitted(cache, 0, 16);
    expect(feed(cache, request, 4)).toEqual([{ group: 0, firstIndex: 0, blockIds: [1] }]);
    expect(feed(cache, request, 1)).toEqual([{ group: 0, firstIndex: 1, blockIds: [2] }]);
    expect(feed(cache, request, 3)).toEqual([]);
    expect(feed(cache, request, 5)).toEqual([{ group: 0, firstIndex: 2, blockIds: [3, 4] }]);
    expect(cache.blockIds(0, 0)).toEqual([1, 2, 3, 4]);
    cache.checkIntegrity();
  });

  test("too few blocks: says how many it wants, gives null, and the request keeps what it had", () => {
    const cache = makeCache([null], 4);
    const request = admitted(cache, 0, 20);
    feed(cache, request, 5);
    expect([3, 4, 7, 8, 15].map((numTokens) => cache.numNewBlocks(request, numTokens))).toEqual([0, 1, 1, 2, 3]);
    expect(feed(cache, request, 8)).toBeNull();
    expect(cache.blockIds(0, 0)).toEqual([1, 2]);
    expect(cache.freeBlockIds).toEqual([3]);
    expect(feed(cache, request, 7)).toEqual([{ group: 0, firstIndex: 2, blockIds: [3] }]);
    cache.checkIntegrity();
  });

  test("rows have tables of their own; a freed one has none and can be admitted again", () => {
    const cache = makeCache([null], 7);
    const [first, second] = [admitted(cache, 0, 12), admitted(cache, 3, 12)];
    feed(cache, first, 6);
    feed(cache, second, 1);
    expect(cache.rows).toEqual([0, 3]);
    expect([cache.numBlocksHeldByOnly([0]), cache.numBlocksHeldByOnly([3])]).toEqual([2, 1]);
    cache.free(0);
    expect(cache.rows).toEqual([3]);
    expect(cache.blockIds(0, 0)).toEqual([]);
    expect(cache.freeBlockIds).toEqual([1, 2, 4, 5, 6]);
    admitted(cache, 0, 4);
    cache.checkIntegrity();
  });

  test("what rows hold and no others, counts what becomes free with them: shared blocks only with all who share them", () => {
    const cache = makeCache([null], 9);
    const shared = tokens(7, 4);
    const rows = [0, 1, 2].map((row) => new TestRequest(row, [...shared, ...tokens(row, 6)]));
    for (const request of rows) feed(cache, request, 6 - admit(cache, request));
    expect([[], [0], [0, 1], [0, 1, 2]].map((some) => cache.numBlocksHeldByOnly(some))).toEqual([0, 1, 2, 4]);
  });

  test("a row without tables, and one with tables already, are errors", () => {
    const cache = makeCache([null], 4);
    const request = new TestRequest(2, tokens(0, 4));
    expect(() => cache.allocateSlots(request, 1)).toThrow("row 2 has no block tables");
    expect(() => cache.free(2)).toThrow("row 2 has no block tables");
    expect(() => cache.evict(2)).toThrow("row 2 has no block tables");
    admit(cache, request);
    expect(() => admit(cache, request)).toThrow("row 2 has block tables already");
    request.row = null;
    expect(() => cache.publish(request)).toThrow("row null has no block tables");
  });

  test("checkIntegrity counts afresh who holds each block", () => {
    const cache = makeCache([null], 4);
    const request = new TestRequest(0, tokens(0, 5));
    admit(cache, request);
    feed(cache, request, 5);
    cache.checkIntegrity();
    const [[block]] = cache.findPrefix(request).blocks;
    block!.refCount += 1;
    expect(() => cache.checkIntegrity()).toThrow(
      expect.objectContaining({ data: { blockId: 1, refCount: 2, numReferences: 1 } }),
    );
  });
});

describe("sliding groups", () => {
  test("blocks that left the window become null and are handed out again", () => {
    const cache = makeCache([5], 6);
    const request = admitted(cache, 0, 100);
    feed(cache, request, 7);
    // The query at 7 sees 3..7, so block 0 is still needed; the one at 8 sees 4..8.
    expect(feed(cache, request, 1)).toEqual([]);
    expect(cache.blockIds(0, 0)).toEqual([1, 2]);
    expect(feed(cache, request, 1)).toEqual([{ group: 0, firstIndex: 2, blockIds: [1] }]);
    expect(cache.blockIds(0, 0)).toEqual([0, 2, 1]);
    expect(cache.freeBlockIds).toEqual([3, 4, 5]);
    expect(cache.numBlocksHeldByOnly([0])).toBe(2);
    cache.checkIntegrity();
  });

  test("tokens in flight keep their window: only processed ones free blocks", () => {
    const cache = makeCache([1], 10);
    const request = admitted(cache, 0, 100);
    feed(cache, request, 8, true);
    feed(cache, request, 1, true);
    expect(cache.blockIds(0, 0)).toEqual([1, 2, 3]);
    request.numInFlightTokens = 1;
    feed(cache, request, 1, true);
    expect(cache.blockIds(0, 0)).toEqual([0, 0, 3]);
    expect(cache.freeBlockIds).toEqual([1, 2, 4, 5, 6, 7, 8, 9]);
    cache.checkIntegrity();
  });

  test("several cached blocks that leave at once go back tail first", () => {
    const cache = makeCache([2], 6);
    const request = new TestRequest(0, tokens(0, 17));
    admit(cache, request);
    feed(cache, request, 16);
    cache.freeOutOfWindow(request);
    expect(cache.blockIds(0, 0)).toEqual([0, 0, 0, 4]);
    expect(cache.freeBlockIds).toEqual([5, 3, 2, 1]);
  });

  test("a full group loses nothing", () => {
    const cache = makeCache([null], 6);
    const request = admitted(cache, 0, 100);
    feed(cache, request, 16);
    cache.freeOutOfWindow(request);
    expect(cache.blockIds(0, 0)).toEqual([1, 2, 3, 4]);
  });

  test("hybrid: each group has its table, all over one pool", () => {
    const cache = makeCache([null, 4, 4], 20);
    const request = admitted(cache, 0, 100);
    expect(feed(cache, request, 8)).toEqual([
      { group: 0, firstIndex: 0, blockIds: [1, 2] },
      { group: 1, firstIndex: 0, blockIds: [3, 4] },
      { group: 2, firstIndex: 0, blockIds: [5, 6] },
    ]);
    expect(feed(cache, request, 1)).toEqual([
      { group: 0, firstIndex: 2, blockIds: [5] },
      { group: 1, firstIndex: 2, blockIds: [3] },
      { group: 2, firstIndex: 2, blockIds: [7] },
    ]);
    expect([0, 1, 2].map((group) => cache.blockIds(0, group))).toEqual([
      [1, 2, 5],
      [0, 4, 3],
      [0, 6, 7],
    ]);
    cache.checkIntegrity();
  });

  test("memory stays flat as the context grows, at the bound that geometry gives", () => {
    const geometry = geometryWithWindows([8], 4);
    const cache = new KvCacheManager(geometry, 20);
    const request = admitted(cache, 0, 2000);
    let most = 0;
    for (let position = 0; position < 2000; position++) {
      expect(feed(cache, request, 1)).not.toBeNull();
      most = Math.max(most, cache.numBlocksHeldByOnly([0]));
    }
    expect(most).toBe(3);
    expect(maxBlocksHeld(geometry, 2000, 1)).toBe(3);
    cache.checkIntegrity();
  });
});

describe("the order in which a row's blocks are given back", () => {
  test("cached ones tail first behind all others, uncached ones in front", () => {
    const cache = makeCache([null], 7);
    const request = new TestRequest(0, tokens(0, 15));
    admit(cache, request);
    feed(cache, request, 15);
    cache.free(0);
    expect(cache.freeBlockIds).toEqual([4, 5, 6, 3, 2, 1]);
  });

  test("over groups: by position, so that no group loses a chain's head while another keeps its tail", () => {
    const cache = makeCache([null, 8], 9);
    const request = new TestRequest(0, tokens(0, 13));
    admit(cache, request);
    feed(cache, request, 12);
    expect([cache.blockIds(0, 0), cache.blockIds(0, 1)]).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    cache.free(0);
    expect(cache.freeBlockIds).toEqual([7, 8, 3, 6, 2, 5, 1, 4]);
  });

  test("null blocks are passed over", () => {
    const cache = makeCache([2], 6);
    const request = new TestRequest(0, tokens(0, 20));
    admit(cache, request);
    feed(cache, request, 12);
    feed(cache, request, 4);
    expect(cache.blockIds(0, 0)).toEqual([0, 0, 3, 4]);
    cache.free(0);
    expect(cache.freeBlockIds).toEqual([5, 2, 1, 4, 3]);
    cache.checkIntegrity();
  });
});
