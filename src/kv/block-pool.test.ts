import { describe, expect, test } from "vitest";
import type { Block } from "./block";
import { BlockPool } from "./block-pool";

function ids(blocks: readonly Block[] | null): number[] | undefined {
  return blocks?.map((block) => block.blockId);
}

/** `names` become the cache keys of newly allocated blocks, in order. */
function allocateCached(pool: BlockPool, names: string): Block[] {
  const blocks = pool.allocate(names.length)!;
  blocks.forEach((block, i) => {
    pool.publish(block, names[i]);
  });
  return blocks;
}

describe("allocate and free", () => {
  test("block 0 is never handed out; a refused allocation changes nothing", () => {
    const pool = new BlockPool(5);
    expect(pool.numUsableBlocks).toBe(4);
    expect(pool.allocate(5)).toBeNull();
    expect(pool.freeBlockIds).toEqual([1, 2, 3, 4]);
    expect(ids(pool.allocate(0))).toEqual([]);
    expect(ids(pool.allocate(4))).toEqual([1, 2, 3, 4]);
    expect(pool.allocate(1)).toBeNull();
  });

  test("uncached blocks are handed out next, the one freed last first", () => {
    const pool = new BlockPool(7);
    const chain = pool.allocate(3)!;
    const other = pool.allocate(1)!;
    pool.free(chain);
    expect(pool.freeBlockIds).toEqual([3, 2, 1, 5, 6]);
    pool.free(other);
    expect(ids(pool.allocate(3))).toEqual([4, 3, 2]);
  });

  test("a shared block is free only when its last user lets go", () => {
    const pool = new BlockPool(3);
    const [block] = pool.allocate(1)!;
    pool.touch([block]);
    pool.free([block]);
    expect(pool.freeBlockIds).toEqual([2]);
    pool.checkIntegrity(new Map([[block, 1]]));
    pool.free([block]);
    expect(pool.freeBlockIds).toEqual([1, 2]);
  });

  test("a double free and a freed null block are errors", () => {
    const pool = new BlockPool(3);
    const [block] = pool.allocate(1)!;
    pool.free([block]);
    expect(() => pool.free([block])).toThrow("block 1 was freed with no reference left");
    expect(() => pool.free([pool.nullBlock])).toThrow("block 0 was freed with no reference left");
  });

  test.each([1, 0, 2.5])("a pool needs the null block and one more: %s are refused", (numBlocks) => {
    expect(() => new BlockPool(numBlocks)).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param: "numBlocks" } }),
    );
  });
});

describe("the prefix cache", () => {
  test("a published block is found while it is held and after it was freed, until it is handed out again", () => {
    const pool = new BlockPool(3);
    const [block] = allocateCached(pool, "a");
    expect(pool.lookup("a")).toBe(block);
    expect(pool.lookup("b")).toBeUndefined();
    pool.free([block]);
    expect(pool.lookup("a")).toBe(block);
    expect(pool.freeBlockIds).toEqual([2, 1]);
    expect(ids(pool.allocate(2))).toEqual([2, 1]);
    expect(pool.lookup("a")).toBeUndefined();
    expect(block.cacheKey).toBeNull();
  });

  test("of two blocks with one key the first stays known; the second stays unknown, also when the first has gone", () => {
    const pool = new BlockPool(4);
    const [first, second] = pool.allocate(2)!;
    pool.publish(first, "a");
    pool.publish(second, "a");
    expect(pool.lookup("a")).toBe(first);
    expect(second.cacheKey).toBeNull();
    pool.free([first, second]);
    expect(pool.freeBlockIds).toEqual([2, 3, 1]);
    expect(ids(pool.allocate(3))).toEqual([2, 3, 1]);
    expect(pool.lookup("a")).toBeUndefined();
  });

  test("a block keeps its first name, and only a held block gets one", () => {
    const pool = new BlockPool(3);
    const [block] = allocateCached(pool, "a");
    pool.publish(block, "b");
    expect(block.cacheKey).toBe("a");
    expect(pool.lookup("b")).toBeUndefined();
    pool.free([block]);
    expect(() => pool.publish(block, "b")).toThrow("block 1 is published, but nobody holds it");
    expect(() => pool.publish(pool.nullBlock, "b")).toThrow("block 0 is published, but nobody holds it");
  });

  test("touch takes a free block out of the middle of the queue, and counts a held one", () => {
    const pool = new BlockPool(5);
    const blocks = allocateCached(pool, "abc");
    pool.free(blocks);
    expect(pool.freeBlockIds).toEqual([4, 1, 2, 3]);
    pool.touch([blocks[1]]);
    pool.touch([blocks[1], blocks[1]]);
    expect(pool.freeBlockIds).toEqual([4, 1, 3]);
    expect(blocks[1].refCount).toBe(3);
    pool.checkIntegrity(new Map([[blocks[1], 3]]));
  });

  test("eviction: uncached first, then the chain freed longest ago, tails before heads", () => {
    const pool = new BlockPool(8);
    const old = allocateCached(pool, "abc");
    const recent = allocateCached(pool, "xy");
    const [uncached] = pool.allocate(1)!;
    pool.free(old.toReversed());
    pool.free(recent.toReversed());
    pool.free([uncached]);
    expect(pool.freeBlockIds).toEqual([6, 7, 3, 2, 1, 5, 4]);
    pool.allocate(3);
    expect(["a", "b", "c", "x", "y"].map((key) => pool.lookup(key)?.blockId)).toEqual([1, 2, undefined, 4, 5]);
  });

  test("a hit makes a chain recent again", () => {
    const pool = new BlockPool(5);
    const first = allocateCached(pool, "ab");
    const second = allocateCached(pool, "xy");
    pool.free(first.toReversed());
    pool.free(second.toReversed());
    expect(pool.freeBlockIds).toEqual([2, 1, 4, 3]);
    pool.touch(first);
    pool.free(first.toReversed());
    expect(pool.freeBlockIds).toEqual([4, 3, 2, 1]);
  });

  test("evict drops the name of held blocks and keeps their references", () => {
    const pool = new BlockPool(4);
    const [first, second] = allocateCached(pool, "ab");
    pool.evict([first]);
    expect(pool.lookup("a")).toBeUndefined();
    expect(pool.lookup("b")).toBe(second);
    pool.checkIntegrity(new Map([first, second].map((block) => [block, 1])));
    pool.free([second, first]);
    expect(pool.freeBlockIds).toEqual([1, 3, 2]);
    expect(() => pool.evict([second])).toThrow("block 2 is evicted from the prefix cache, but nobody holds it");
  });

  test("reset forgets every name, held or free; blocks and order stay, and names can be given anew", () => {
    const pool = new BlockPool(4);
    const [held, free] = allocateCached(pool, "ab");
    pool.free([free]);
    pool.resetPrefixCache();
    expect([pool.lookup("a"), pool.lookup("b"), held.cacheKey, free.cacheKey]).toEqual([
      undefined,
      undefined,
      null,
      null,
    ]);
    expect(pool.freeBlockIds).toEqual([3, 2]);
    pool.publish(held, "c");
    expect(pool.lookup("c")).toBe(held);
    pool.checkIntegrity(new Map([[held, 1]]));
  });

  test("work is counted a block: looked up, published, touched, handed out, given back, evicted", () => {
    const pool = new BlockPool(5);
    const counts: number[] = [];
    const count = () => counts.push(pool.numVisited);
    const blocks = pool.allocate(3)!;
    count();
    pool.publish(blocks[0], "a");
    pool.lookup("a");
    count();
    pool.touch(blocks);
    count();
    pool.evict(blocks.slice(0, 2));
    count();
    pool.free(blocks);
    pool.allocate(9);
    count();
    expect(counts).toEqual([3, 5, 8, 10, 13]);
  });
});

describe("checkIntegrity finds, with the numbers", () => {
  const faults: { name: string; data: object; breakPool: (pool: BlockPool, blocks: Block[]) => Map<Block, number> }[] =
    [
      {
        name: "a leak",
        data: { free: 1, held: 1, all: 3 },
        breakPool: (_, [first]) => new Map([[first, 1]]),
      },
      {
        name: "a wrong ref count",
        data: { blockId: 2, refCount: 1, numReferences: 2 },
        breakPool: (_, [first, second]) => new Map([[first, 1]]).set(second, 2),
      },
      {
        name: "a block both free and held",
        data: { blockId: 1, refCount: 0 },
        breakPool: (_, [first, second]) => {
          first.refCount = 0;
          return new Map([[first, 0]]).set(second, 1);
        },
      },
      {
        name: "a free queue that lost blocks",
        data: { walked: 1, counted: 2 },
        breakPool: (pool, [first, second]) => {
          pool.free([first]);
          first.nextFree = null;
          return new Map([[second, 1]]);
        },
      },
      {
        name: "a name that leads nowhere",
        data: { blockId: 1 },
        breakPool: (_, [first, second]) => {
          first.cacheKey = "never published";
          return new Map([[first, 1]]).set(second, 1);
        },
      },
      {
        name: "a name whose block does not know it",
        data: { named: 0, keys: 1 },
        breakPool: (pool, [first, second]) => {
          pool.publish(first, "a");
          first.cacheKey = null;
          return new Map([[first, 1]]).set(second, 1);
        },
      },
      {
        name: "a null block that was given away",
        data: { blockId: 0, refCount: 1, numReferences: 0 },
        breakPool: (pool, [first, second]) => {
          pool.nullBlock.refCount = 1;
          return new Map([[first, 1]]).set(second, 1);
        },
      },
    ];

  test.each(faults)("$name", ({ data, breakPool }) => {
    const pool = new BlockPool(4);
    const blocks = pool.allocate(2)!;
    pool.checkIntegrity(new Map(blocks.map((block) => [block, 1])));
    const references = breakPool(pool, blocks);
    expect(() => pool.checkIntegrity(references)).toThrow(expect.objectContaining({ code: "internal", data }));
  });
});
