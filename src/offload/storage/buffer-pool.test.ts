import { afterEach, expect, test, vi } from "vitest";
import { BufferPool } from "./buffer-pool";

afterEach(() => vi.unstubAllGlobals());

test("gives out what was given back, and keeps so many at most", () => {
  const pool = new BufferPool(16, 2);
  const first = pool.take(3)!;
  expect(first.map(({ byteLength }) => byteLength)).toEqual([16, 16, 16]);
  pool.give(first);
  const second = pool.take(3)!;
  expect(second.map((buffer) => first.indexOf(buffer))).toEqual([0, 1, -1]);
});

test("drops what was transferred, and what has another size", () => {
  const pool = new BufferPool(16, 8);
  const [lost, kept] = pool.take(2)!;
  structuredClone(lost, { transfer: [lost] });
  pool.give([lost, new ArrayBuffer(15), kept]);
  const again = pool.take(2)!;
  expect([again[0] === kept, again[1].byteLength]).toEqual([true, 16]);
});

test("null where there is no memory; what it had stays", () => {
  const pool = new BufferPool(16, 8);
  const [kept] = pool.take(1)!;
  pool.give([kept]);
  vi.stubGlobal("ArrayBuffer", function refuse() {
    throw new RangeError("Array buffer allocation failed");
  });
  expect(pool.take(2)).toBeNull();
  expect(pool.take(1)?.[0]).toBe(kept);
});
