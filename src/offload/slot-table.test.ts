import { describe, expect, test } from "vitest";
import { SlotTable } from "./slot-table";

describe("slots come into use", () => {
  test("one by one, with memory asked for in order; a free one is used again first, the one freed last before others", () => {
    const reserved: number[] = [];
    const table = new SlotTable(4, (slotId) => reserved.push(slotId) > 0);
    expect([table.take("a"), table.take("b"), table.take("c")]).toEqual([0, 1, 2]);
    for (const slotId of [0, 2]) table.set(slotId, { state: "free" });
    expect(table.count("free")).toBe(3);
    expect([..."defg"].map((key) => table.take(key))).toEqual([2, 0, 3, null]);
    expect(reserved).toEqual([0, 1, 2, 3]);
    expect(table.at(3)).toEqual({ state: "pending", key: "f" });
  });

  test("where memory runs out, the table has the slots that have it, and asks no more", () => {
    const reserved: number[] = [];
    const table = new SlotTable(4, (slotId) => reserved.push(slotId) < 3);
    expect([..."abcd"].map((key) => table.take(key))).toEqual([0, 1, null, null]);
    expect([table.numSlots, table.count("free"), reserved]).toEqual([2, 0, [0, 1, 2]]);
    table.set(0, { state: "free" });
    expect([table.count("free"), table.take("d"), table.take("e")]).toEqual([1, 0, null]);
    expect(reserved).toEqual([0, 1, 2]);
  });
});

test("a slot that is free, or was never in use, cannot be changed", () => {
  const table = new SlotTable(4, () => true);
  table.take("a");
  table.set(0, { state: "free" });
  expect(() => table.set(0, { state: "free" })).toThrow("slot 0 is free");
  expect(() => table.at(1)).toThrow("there is no slot 1: 1 of 4 were ever in use");
});

describe("checkIntegrity finds, with the numbers", () => {
  /** Slot 0 free, 1 pending for nobody, 2 idle, 3 with two readers. */
  function makeTable(): SlotTable {
    const table = new SlotTable(5, () => true);
    for (const key of "abcd") table.take(key);
    table.set(0, { state: "free" });
    table.set(1, { state: "pending", key: null });
    table.set(2, { state: "idle", key: "c" });
    table.set(3, { state: "pinned", key: "d", numReaders: 2 });
    return table;
  }
  const right = { numChunks: 2, numPending: 1, numReaders: 2 };

  test("nothing where all is right", () => {
    const table = makeTable();
    table.checkIntegrity(right);
    expect(["free", "pending", "idle", "pinned"].map((state) => table.count(state as "free"))).toEqual([2, 1, 1, 1]);
  });

  /** Whoever gives slots their memory takes one in the same moment. */
  function makeReentrant(numSlots: number): SlotTable {
    let isInside = false;
    const table: SlotTable = new SlotTable(numSlots, () => {
      if (isInside) return true;
      isInside = true;
      return table.take("b") !== null;
    });
    table.take("a");
    return table;
  }

  test("a free slot that is lost", () => {
    const expected = { numChunks: 1, numPending: 1, numReaders: 0 };
    expect(() => makeReentrant(2).checkIntegrity(expected)).toThrow("free slots are lost or shared: , not 1");
  });

  test("more slots than there are", () => {
    const expected = { numChunks: 1, numPending: 1, numReaders: 0 };
    expect(() => makeReentrant(1).checkIntegrity(expected)).toThrow("2 slots were in use, but there are 1");
  });

  test.each([
    { name: "a chunk that the books have lost", wrong: { numChunks: 1 } },
    { name: "a writer that is gone", wrong: { numPending: 0 } },
    { name: "a reader too many", wrong: { numReaders: 3 } },
  ])("$name", ({ wrong }) => {
    const expected = { ...right, ...wrong };
    expect(() => makeTable().checkIntegrity(expected)).toThrow(
      expect.objectContaining({
        code: "internal",
        message: `slots have ${JSON.stringify(right)}, not ${JSON.stringify(expected)}`,
      }),
    );
  });
});
