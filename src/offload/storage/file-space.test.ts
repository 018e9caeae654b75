import fc from "fast-check";
import { expect, test } from "vitest";
import { FileSpace, type FileSpaceRow, type Place, spaceAround } from "./file-space";

test("takes what is free before what lies behind the end, in as many runs as that lies in", () => {
  const space = new FileSpace({ end: 100, free: [[10, 20], [50, 80]] }); // biome-ignore format: runs
  expect(space.take(5)).toEqual([[10, 15]]);
  expect(space.take(40)).toEqual([[15, 20], [50, 80], [100, 105]]); // biome-ignore format: runs
  expect(space.toRow()).toEqual({ end: 105, free: [] });
});

test("what is given back is not taken in the same transaction, and joins what is free beside it", () => {
  const space = new FileSpace({ end: 40, free: [[10, 20]] });
  space.give([[20, 30]]);
  expect(space.take(20)).toEqual([[10, 20], [40, 50]]); // biome-ignore format: runs
  space.give([[30, 40]]);
  expect(space.toRow()).toEqual({ end: 50, free: [[20, 40]] });
  space.give([[40, 50]]);
  expect(space.toRow()).toEqual({ end: 20, free: [] });
});

test("is changed by a take or a give of something only", () => {
  const space = new FileSpace(undefined);
  space.give([]);
  expect(space.isChanged).toBe(false);
  space.take(1);
  expect(space.isChanged).toBe(true);
});

test.each([undefined, null, "garbage", 7, { end: 1.5, free: [] }, { end: 10, free: [[5, 3]] }, { end: 10, free: 3 }])(
  "a row that is none (%j): all is free",
  (row) => {
    expect(new FileSpace(row).take(3)).toEqual([[0, 3]]);
  },
);

test("a place that is none gives nothing back", () => {
  const space = new FileSpace({ end: 10, free: [] });
  space.give([[3, Number.NaN], "garbage", [5, 2], [-3, 2], [2, 4]] as unknown as Place);
  expect(space.toRow()).toEqual({ end: 10, free: [[2, 4]] });
});

/** A transaction: sizes of records that are put, numbers of those that are deleted, and whether it is aborted. */
const transaction = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 4 }),
  deleted: fc.array(fc.nat(20), { maxLength: 4 }),
  isAborted: fc.boolean(),
});

test("whatever is put, deleted and aborted: no byte is two records', and what is free is what lies around them", () => {
  let numSplit = 0;
  const play = (transactions: readonly (typeof transaction extends fc.Arbitrary<infer T> ? T : never)[]) => {
    let row: FileSpaceRow | undefined;
    let places: Place[] = [];
    for (const { sizes, deleted, isAborted } of transactions) {
      const space = new FileSpace(row);
      const kept = places.filter((place, i) => {
        if (deleted.includes(i)) space.give(place);
        return !deleted.includes(i);
      });
      const added = sizes.map((size) => space.take(size));
      expect(added.map((place) => place.reduce((sum, [start, end]) => sum + end - start, 0))).toEqual(sizes);
      // Nor one of a record that is deleted in the same transaction.
      const taken = [...places, ...added].flat();
      expect(new Set(taken.flatMap(bytesOf)).size).toBe(taken.flatMap(bytesOf).length);
      if (isAborted) continue;
      places = [...kept, ...added];
      row = space.toRow();
      expect(row).toEqual(spaceAround(places.flat()));
      numSplit += added.filter((place) => place.length > 1).length;
    }
  };
  fc.assert(fc.property(fc.array(transaction, { maxLength: 30, size: "max" }), play), { seed: 20261126, numRuns: 200 });
  expect(numSplit).toBeGreaterThan(100);
});

function bytesOf([start, end]: Place[number]): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}
