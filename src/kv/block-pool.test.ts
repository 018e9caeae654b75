import { expect, test } from "vitest";
import type { Block } from "./block";
import { BlockPool } from "./block-pool";

function ids(blocks: readonly Block[] | null): number[] | undefined {
  return blocks?.map((block) => block.blockId);
}

test("block 0 is never handed out; a refused allocation changes nothing", () => {
  const pool = new BlockPool(5);
  expect(pool.numUsableBlocks).toBe(4);
  expect(pool.allocate(5)).toBeNull();
  expect(pool.freeBlockIds).toEqual([1, 2, 3, 4]);
  expect(ids(pool.allocate(0))).toEqual([]);
  expect(ids(pool.allocate(4))).toEqual([1, 2, 3, 4]);
  expect(pool.allocate(1)).toBeNull();
});

test("freed blocks come back first, tails before heads", () => {
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
  block.refCount += 1;
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

test("a pool needs the null block and one more", () => {
  for (const numBlocks of [1, 0, 2.5]) {
    expect(() => new BlockPool(numBlocks)).toThrow(expect.objectContaining({ code: "invalid_request" }));
  }
});

test("checkIntegrity finds a leak, a wrong count and a block both free and held, with numbers", () => {
  const pool = new BlockPool(4);
  const [first, second] = pool.allocate(2)!;
  pool.checkIntegrity(new Map([[first, 1]]).set(second, 1));
  expect(() => pool.checkIntegrity(new Map([[first, 1]]))).toThrow(
    expect.objectContaining({ code: "internal", data: { free: 1, held: 1, all: 3 } }),
  );
  expect(() => pool.checkIntegrity(new Map([[first, 1]]).set(second, 2))).toThrow(
    expect.objectContaining({ code: "internal", data: { blockId: 2, refCount: 1, numReferences: 2 } }),
  );
  first.refCount = 0;
  expect(() => pool.checkIntegrity(new Map([[first, 0]]).set(second, 1))).toThrow(
    expect.objectContaining({ code: "internal", data: { blockId: 1, refCount: 0 } }),
  );
});
