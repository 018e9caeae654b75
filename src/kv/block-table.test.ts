import { expect, test } from "vitest";
import { Block } from "./block";
import { BlockTable } from "./block-table";

const nullBlock = new Block(0);

function blocks(...ids: number[]): Block[] {
  return ids.map((id) => new Block(id));
}

function heldBlocks(table: BlockTable): Block[] {
  return Array.from({ length: table.length }, (_, index) => table.heldAt(index)).filter((block) => block !== null);
}

test("new entries are reported once, with the index of the first", () => {
  const table = new BlockTable(nullBlock);
  expect(table.takeNewEntries()).toBeNull();
  table.append(blocks(5, 3));
  table.append(blocks(8));
  expect(table.takeNewEntries()).toEqual({ firstIndex: 0, blockIds: [5, 3, 8] });
  expect(table.takeNewEntries()).toBeNull();
  table.append(blocks(2));
  expect(table.takeNewEntries()).toEqual({ firstIndex: 3, blockIds: [2] });
  expect(table.blockIds).toEqual([5, 3, 8, 2]);
});

test("entries that hold the null block from the beginning are counted, not held and not reported", () => {
  const table = new BlockTable(nullBlock, 2);
  expect(table.length).toBe(2);
  expect(heldBlocks(table)).toEqual([]);
  expect(table.takeNewEntries()).toBeNull();
  const [block] = blocks(7);
  table.append([block]);
  expect(table.takeNewEntries()).toEqual({ firstIndex: 2, blockIds: [7] });
  expect([0, 1, 2, 3].map((index) => table.heldAt(index))).toEqual([null, null, block, null]);
  expect(table.blockIds).toEqual([0, 0, 7]);
});

test("dropped entries give their blocks back once, in order, and become null", () => {
  const table = new BlockTable(nullBlock);
  const [a, b, c, d] = blocks(1, 2, 3, 4);
  table.append([a, b, c, d]);
  expect(table.dropBefore(0)).toEqual([]);
  expect(table.dropBefore(2)).toEqual([a, b]);
  expect(table.dropBefore(2)).toEqual([]);
  expect(table.dropBefore(1)).toEqual([]);
  expect(table.dropBefore(3)).toEqual([c]);
  expect(heldBlocks(table)).toEqual([d]);
  expect(table.blockIds).toEqual([0, 0, 0, 4]);
  expect(table.length).toBe(4);
});

test("a drop beyond the end gives what there is; later entries are held", () => {
  const table = new BlockTable(nullBlock);
  const [a, b] = blocks(1, 2);
  table.append([a]);
  expect(table.dropBefore(5)).toEqual([a]);
  table.append([b]);
  expect(heldBlocks(table)).toEqual([b]);
  expect(table.heldAt(1)).toBe(b);
});

test("entries that left before they were reported are never reported", () => {
  const table = new BlockTable(nullBlock);
  table.append(blocks(1, 2, 3));
  table.dropBefore(2);
  expect(table.takeNewEntries()).toEqual({ firstIndex: 2, blockIds: [3] });
});
