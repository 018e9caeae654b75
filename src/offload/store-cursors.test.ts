import { expect, test } from "vitest";
import { StoreCursors } from "./store-cursors";

/** "0 1 2/1": chunks, with their group where it is not 0. */
function advance(cursors: StoreCursors, numChunks: number, storeEpoch = 0, requestId = "a", numGroups = 1): string {
  const chunks = cursors.advance({ requestId, numGroups, numChunks }, storeEpoch);
  return chunks.map(({ group, chunk }) => `${chunk}${group > 0 ? `/${group}` : ""}`).join(" ");
}

test("every chunk is offered once, in every group, the head first", () => {
  const cursors = new StoreCursors();
  expect(advance(cursors, 2, 0, "a", 2)).toBe("0 0/1 1 1/1");
  expect(advance(cursors, 2, 0, "a", 2)).toBe("");
  expect(advance(cursors, 3, 0, "a", 2)).toBe("2 2/1");
  expect(advance(cursors, 1, 0, "b", 2)).toBe("0 0/1");
});

test("fewer chunks than before, as after a preemption: nothing is offered twice", () => {
  const cursors = new StoreCursors();
  advance(cursors, 3);
  expect([advance(cursors, 0), advance(cursors, 3), advance(cursors, 4)]).toEqual(["", "", "3"]);
});

test("a refused chunk is offered again in another epoch only, before what is new", () => {
  const cursors = new StoreCursors();
  advance(cursors, 3);
  cursors.refuse("a", { group: 0, chunk: 1 }, 7);
  expect(advance(cursors, 4, 7)).toBe("3");
  expect(advance(cursors, 5, 8)).toBe("1 4");
  expect(advance(cursors, 5, 9)).toBe("");
});

test("one whose store failed is offered again at once", () => {
  const cursors = new StoreCursors();
  advance(cursors, 2);
  cursors.refuse("a", { group: 0, chunk: 0 }, null);
  expect(advance(cursors, 2)).toBe("0");
});

test("a refused chunk that does not exist at present is kept until it does", () => {
  const cursors = new StoreCursors();
  advance(cursors, 2);
  cursors.refuse("a", { group: 0, chunk: 1 }, 0);
  expect([advance(cursors, 1, 1), advance(cursors, 2, 1)]).toEqual(["", "1"]);
});

test("64 are offered again in a step at most, over all requests, those refused longest ago first", () => {
  const cursors = new StoreCursors();
  for (const requestId of ["a", "b"]) {
    advance(cursors, 50, 0, requestId);
    for (let chunk = 0; chunk < 50; chunk++) cursors.refuse(requestId, { group: 0, chunk }, 0);
  }
  cursors.beginStep();
  const numbers = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i).join(" ");
  expect([advance(cursors, 50, 1, "a"), advance(cursors, 50, 1, "b")]).toEqual([numbers(0, 50), numbers(0, 14)]);
  expect(advance(cursors, 50, 1, "b")).toBe("");
  cursors.beginStep();
  expect(advance(cursors, 50, 1, "b")).toBe(numbers(14, 50));
});

test("what is new is not held up by it", () => {
  const cursors = new StoreCursors();
  expect(advance(cursors, 100).split(" ")).toHaveLength(100);
});

test("a request that is forgotten begins anew", () => {
  const cursors = new StoreCursors();
  advance(cursors, 1);
  cursors.refuse("a", { group: 0, chunk: 0 }, null);
  cursors.forget("a");
  expect(advance(cursors, 1)).toBe("0");
});
