import { describe, expect, test } from "vitest";
import { geometryWithWindows } from "./geometry.fixture";
import { KvCacheManager, type KvRequest } from "./kv-cache-manager";

function request(requestId: string, numComputedTokens: number, numInFlightTokens = 0): KvRequest {
  return { requestId, numComputedTokens, numInFlightTokens };
}

describe("one full group", () => {
  test("takes a block where a position needs one, and none in between", () => {
    const cache = new KvCacheManager(geometryWithWindows([null]), 5);
    expect(cache.allocateSlots(request("a", 0), 16)).toEqual([{ group: 0, firstIndex: 0, blockIds: [1] }]);
    expect(cache.allocateSlots(request("a", 16), 1)).toEqual([{ group: 0, firstIndex: 1, blockIds: [2] }]);
    expect(cache.allocateSlots(request("a", 17), 15)).toEqual([]);
    expect(cache.allocateSlots(request("a", 32), 17)).toEqual([{ group: 0, firstIndex: 2, blockIds: [3, 4] }]);
    expect(cache.blockIds("a", 0)).toEqual([1, 2, 3, 4]);
    cache.checkIntegrity();
  });

  test("too few blocks: null, and the request keeps what it had", () => {
    const cache = new KvCacheManager(geometryWithWindows([null]), 4);
    cache.allocateSlots(request("a", 0), 20);
    expect(cache.allocateSlots(request("b", 0), 17)).toBeNull();
    expect(cache.allocateSlots(request("a", 20), 29)).toBeNull();
    expect(cache.requestIds).toEqual(["a"]);
    expect(cache.blockIds("a", 0)).toEqual([1, 2]);
    expect(cache.freeBlockIds).toEqual([3]);
    cache.checkIntegrity();
  });

  test("a freed request's tail is handed out first", () => {
    const cache = new KvCacheManager(geometryWithWindows([null]), 6);
    cache.allocateSlots(request("a", 0), 40);
    cache.allocateSlots(request("b", 0), 1);
    cache.free("a");
    expect(cache.freeBlockIds).toEqual([3, 2, 1, 5]);
    expect(cache.numHeldBlocks("a")).toBe(0);
    expect(() => cache.free("a")).toThrow("request a has no block tables");
    cache.checkIntegrity();
  });
});

describe("sliding groups", () => {
  test("blocks that left the window become null and are handed out again", () => {
    const cache = new KvCacheManager(geometryWithWindows([17]), 10);
    cache.allocateSlots(request("a", 0), 48);
    // the query at 31 sees 15..31, so block 0 is still needed; the one at 32 sees 16..32
    cache.allocateSlots(request("a", 31), 1);
    expect(cache.blockIds("a", 0)).toEqual([1, 2, 3]);
    cache.allocateSlots(request("a", 32), 1);
    expect(cache.blockIds("a", 0)).toEqual([0, 2, 3]);
    expect(cache.freeBlockIds).toEqual([1, 4, 5, 6, 7, 8, 9]);
    expect(cache.allocateSlots(request("a", 48), 1)).toEqual([{ group: 0, firstIndex: 3, blockIds: [2] }]);
    expect(cache.blockIds("a", 0)).toEqual([0, 0, 3, 2]);
    expect(cache.numHeldBlocks("a")).toBe(2);
    cache.checkIntegrity();
  });

  test("tokens in flight keep their window: only processed ones free blocks", () => {
    const cache = new KvCacheManager(geometryWithWindows([1]), 10);
    cache.allocateSlots(request("a", 0), 32);
    cache.allocateSlots(request("a", 32, 32), 1);
    expect(cache.blockIds("a", 0)).toEqual([1, 2, 3]);
    cache.allocateSlots(request("a", 33, 1), 1);
    expect(cache.blockIds("a", 0)).toEqual([0, 0, 3]);
    cache.checkIntegrity();
  });

  test("several dropped blocks go back tail first", () => {
    const cache = new KvCacheManager(geometryWithWindows([2]), 6);
    cache.allocateSlots(request("a", 0), 64);
    cache.allocateSlots(request("a", 64), 1);
    expect(cache.blockIds("a", 0)).toEqual([0, 0, 0, 4, 3]);
    expect(cache.freeBlockIds).toEqual([2, 1, 5]);
  });

  test("hybrid: each group has its table, all over one pool", () => {
    const cache = new KvCacheManager(geometryWithWindows([16, 16, null]), 20);
    expect(cache.allocateSlots(request("a", 0), 32)).toEqual([
      { group: 0, firstIndex: 0, blockIds: [1, 2] },
      { group: 1, firstIndex: 0, blockIds: [3, 4] },
      { group: 2, firstIndex: 0, blockIds: [5, 6] },
    ]);
    expect(cache.allocateSlots(request("a", 32), 1)).toEqual([
      { group: 0, firstIndex: 2, blockIds: [5] },
      { group: 1, firstIndex: 2, blockIds: [3] },
      { group: 2, firstIndex: 2, blockIds: [7] },
    ]);
    expect([0, 1, 2].map((group) => cache.blockIds("a", group))).toEqual([
      [1, 2, 5],
      [0, 4, 3],
      [0, 6, 7],
    ]);
    cache.free("a");
    expect(cache.numFreeBlocks).toBe(19);
    cache.checkIntegrity();
  });

  test("memory stays flat as the context grows", () => {
    const cache = new KvCacheManager(geometryWithWindows([32]), 20);
    for (let position = 0; position < 5000; position++) {
      expect(cache.allocateSlots(request("a", position), 1)).not.toBeNull();
      expect(cache.numHeldBlocks("a")).toBeLessThanOrEqual(cache.numBlocksNeeded(5000, 1));
    }
    expect(cache.numBlocksNeeded(5000, 1)).toBe(3);
    cache.checkIntegrity();
  });
});
