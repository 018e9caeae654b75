import { describe, expect, test } from "vitest";
import { RowPool } from "./row-pool";

test("the lowest rows come first; one more than there are is an error", () => {
  const rows = new RowPool(2);
  expect([rows.take(), rows.take(), rows.numFree]).toEqual([0, 1, 0]);
  expect(() => rows.take()).toThrow("no row is free");
});

describe("a leaving row", () => {
  test("is free again when the last step that names it was processed, not before", () => {
    const rows = new RowPool(1);
    rows.leave(rows.take(), 5);
    expect(rows.leaving).toEqual([0]);
    expect(rows.freeProcessed(5)).toEqual([]);
    expect(rows.numFree).toBe(0);
    expect(rows.freeProcessed(6)).toEqual([0]);
    expect([rows.leaving, rows.numFree, rows.take()]).toEqual([[], 1, 0]);
  });

  test("does not wait for others: the rest stays, in the order of leaving", () => {
    const rows = new RowPool(4);
    for (let i = 0; i < 4; i++) rows.take();
    rows.leave(2, 9);
    rows.leave(0, 7);
    rows.leave(3, 9);
    rows.leave(1, 7);
    expect(rows.freeProcessed(8)).toEqual([0, 1]);
    expect(rows.leaving).toEqual([2, 3]);
    expect(rows.freeProcessed(10)).toEqual([2, 3]);
    expect([rows.take(), rows.take(), rows.take(), rows.take()]).toEqual([3, 2, 1, 0]);
  });
});

describe("checkIntegrity", () => {
  test("every row is free, leaving or running, and only one of these", () => {
    const rows = new RowPool(3);
    rows.take();
    rows.leave(rows.take(), 0);
    rows.checkIntegrity([0]);
    expect(() => rows.checkIntegrity([])).toThrow("rows are lost or shared: 1,2 of 3");
    expect(() => rows.checkIntegrity([0, 1])).toThrow("rows are lost or shared: 0,1,1,2 of 3");
    expect(() => rows.checkIntegrity([2])).toThrow("rows are lost or shared: 1,2,2 of 3");
  });
});
