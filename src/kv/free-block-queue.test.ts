import fc from "fast-check";
import { expect, test } from "vitest";
import { Block } from "./block";
import { FreeBlockQueue } from "./free-block-queue";

function makeBlocks(numBlocks: number): Block[] {
  return Array.from({ length: numBlocks }, (_, blockId) => new Block(blockId));
}

function ids(queue: FreeBlockQueue): number[] {
  return Array.from(queue, (block) => block.blockId);
}

test("hands out in order; takes out from the front, the middle and the end", () => {
  const blocks = makeBlocks(5);
  const queue = new FreeBlockQueue(blocks);
  expect(queue.shift()).toBe(blocks[0]);
  queue.remove(blocks[2]);
  expect(ids(queue)).toEqual([1, 3, 4]);
  queue.remove(blocks[4]);
  queue.prepend(blocks[2]);
  queue.append(blocks[0]);
  expect(ids(queue)).toEqual([2, 1, 3, 0]);
  expect(queue.length).toBe(4);
});

test("an empty queue gives null and fills again", () => {
  const [block] = makeBlocks(1);
  const queue = new FreeBlockQueue([block]);
  expect(queue.shift()).toBe(block);
  expect(queue.shift()).toBeNull();
  queue.prepend(block);
  expect(ids(queue)).toEqual([0]);
});

test("a block cannot be put in twice or taken out twice", () => {
  const [first, second] = makeBlocks(2);
  const queue = new FreeBlockQueue([first]);
  expect(() => queue.append(first)).toThrow("block 0 is already in the free queue");
  expect(() => queue.remove(second)).toThrow("block 1 is not in the free queue");
});

test("agrees with an array over random operations", () => {
  const numBlocks = 6;
  const operation = fc.tuple(fc.constantFrom("append", "prepend", "remove", "shift"), fc.nat(numBlocks - 1));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const blocks = makeBlocks(numBlocks);
      const queue = new FreeBlockQueue(blocks);
      const model = blocks.map((block) => block.blockId);
      for (const [kind, blockId] of operations) {
        const isIn = model.includes(blockId);
        if (kind === "shift") expect(queue.shift()?.blockId).toBe(model.shift());
        else if (kind === "remove" && isIn) {
          queue.remove(blocks[blockId]);
          model.splice(model.indexOf(blockId), 1);
        } else if (kind === "append" && !isIn) {
          queue.append(blocks[blockId]);
          model.push(blockId);
        } else if (kind === "prepend" && !isIn) {
          queue.prepend(blocks[blockId]);
          model.unshift(blockId);
        }
        expect(ids(queue)).toEqual(model);
        expect(queue.length).toBe(model.length);
      }
    }),
  );
});
