import { expect, test } from "vitest";
import { Deferrals } from "./deferrals";

function makeDeferrals() {
  const clock = { nowMs: 0 };
  const deferrals = new Deferrals(() => clock.nowMs);
  return { clock, deferrals };
}

test("a change of its chunk wakes who waits for it, once, and nobody else", () => {
  const { deferrals } = makeDeferrals();
  deferrals.defer("r", "a", "loading", 100);
  deferrals.defer("s", "a", "loading", 100);
  deferrals.defer("t", "b", "pending", 100);
  deferrals.wake("a");
  deferrals.wake("c");
  expect(deferrals.takeWoken()).toEqual(["r", "s"]);
  expect(deferrals.takeWoken()).toEqual([]);
  expect([deferrals.numWaiting, deferrals.isWaiting("r"), deferrals.isWaiting("t")]).toEqual([1, false, true]);
  expect(deferrals.numDeferrals).toEqual({ loading: 2, pending: 1, retry: 0 });
  deferrals.checkIntegrity();
});

test("a deadline wakes it too, and counts", () => {
  const { clock, deferrals } = makeDeferrals();
  deferrals.defer("r", "a", "pending", 100);
  deferrals.defer("s", "b", "pending", 200);
  expect(deferrals.nextDeadlineMs).toBe(100);
  clock.nowMs = 99;
  expect(deferrals.takeWoken()).toEqual([]);
  clock.nowMs = 100;
  expect(deferrals.takeWoken()).toEqual(["r"]);
  expect([deferrals.isExhausted("r"), deferrals.isExhausted("s"), deferrals.numTimedOut]).toEqual([true, false, 1]);
  expect(deferrals.nextDeadlineMs).toBe(200);
  deferrals.wake("a");
  expect(deferrals.takeWoken()).toEqual([]);
  deferrals.checkIntegrity();
});

test("a wait tells its deadline, which is that of the request's first", () => {
  const { clock, deferrals } = makeDeferrals();
  expect(deferrals.defer("r", "a", "retry", 300)).toBe(300);
  clock.nowMs = 100;
  deferrals.wake("a");
  expect(deferrals.defer("r", "b", "pending", 300)).toBe(300);
  expect(deferrals.defer("s", "b", "pending", 300)).toBe(400);
});

test("the first wait of a request sets the deadline of all", () => {
  const { clock, deferrals } = makeDeferrals();
  deferrals.defer("r", "a", "loading", 100);
  deferrals.wake("a");
  expect(deferrals.takeWoken()).toEqual(["r"]);
  clock.nowMs = 60;
  deferrals.defer("r", "b", "pending", 100);
  clock.nowMs = 100;
  expect(deferrals.takeWoken()).toEqual(["r"]);
  expect(deferrals.isExhausted("r")).toBe(true);
});

test("who is forgotten waits for nothing, and has all its patience again", () => {
  const { clock, deferrals } = makeDeferrals();
  deferrals.defer("r", "a", "loading", 100);
  deferrals.forget("r");
  deferrals.wake("a");
  clock.nowMs = 100;
  expect([deferrals.takeWoken(), deferrals.numWaiting, deferrals.isExhausted("r")]).toEqual([[], 0, false]);
  deferrals.defer("r", "a", "loading", 100);
  expect(deferrals.isExhausted("r")).toBe(false);
  deferrals.checkIntegrity();
});

test("all are woken at once when all is different", () => {
  const { deferrals } = makeDeferrals();
  deferrals.defer("r", "a", "loading", 100);
  deferrals.defer("s", "b", "pending", 100);
  deferrals.wakeAll();
  expect(deferrals.takeWoken()).toEqual(["r", "s"]);
  expect(deferrals.numWaiting).toBe(0);
});

test("waiting twice at a time is an error", () => {
  const { deferrals } = makeDeferrals();
  deferrals.defer("r", "a", "loading", 100);
  expect(() => deferrals.defer("r", "b", "loading", 100)).toThrow("request r waits already");
});
