import { expect, test } from "vitest";
import { BlockLeases } from "./block-leases";
import { BlockPool } from "./block-pool";

function makeLeases() {
  const pool = new BlockPool(5);
  return { pool, leases: new BlockLeases(pool) };
}

test("a leased block is not handed out, and comes free with its last lease", () => {
  const { pool, leases } = makeLeases();
  const blocks = pool.allocate(2)!;
  leases.take(1, [1, 2]);
  leases.take(2, [2]);
  pool.free(blocks);
  expect(pool.freeBlockIds).toEqual([3, 4]);
  leases.release(1);
  expect(pool.freeBlockIds).toEqual([1, 3, 4]);
  leases.release(2);
  expect(pool.freeBlockIds).toEqual([2, 1, 3, 4]);
});

test("taking a lease twice and giving it up twice are errors, and change nothing", () => {
  const { pool, leases } = makeLeases();
  pool.allocate(1);
  leases.take(1, [1]);
  expect(() => leases.take(1, [1])).toThrow("job 1 has a lease already");
  expect(leases.blocks.map(({ blockId }) => blockId)).toEqual([1]);
  leases.release(1);
  expect(() => leases.release(1)).toThrow("job 1 has no lease to give up");
  expect([leases.size, pool.block(1).refCount]).toEqual([0, 1]);
});

test("leases are the only holders of a block whose request is gone, also when there are two", () => {
  const { pool, leases } = makeLeases();
  const blocks = pool.allocate(2)!;
  leases.take(1, [1, 2]);
  leases.take(2, [1]);
  expect(leases.areOnlyHolders([1, 2])).toBe(false);
  pool.free([blocks[0]]);
  expect([leases.areOnlyHolders([1]), leases.areOnlyHolders([2]), leases.areOnlyHolders([2, 1])]).toEqual([
    true,
    false,
    true,
  ]);
  leases.release(1);
  leases.release(2);
});
