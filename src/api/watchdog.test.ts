import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Watchdog } from "./watchdog";

const PERIOD_MS = 1000;
const onSilence = vi.fn();
let answers: (() => void)[] = [];
let watchdog: Watchdog;

beforeEach(() => {
  vi.useFakeTimers();
  answers = [];
  onSilence.mockReset();
  watchdog = new Watchdog(() => new Promise<void>((resolve) => answers.push(resolve)), onSilence, PERIOD_MS);
});

afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const periods = (count: number) => vi.advanceTimersByTimeAsync(count * PERIOD_MS);

describe("Watchdog", () => {
  it("reports a worker that is silent for two periods, once", async () => {
    watchdog.start();
    await periods(1.9);
    expect(onSilence).not.toHaveBeenCalled();
    await periods(5);
    expect(onSilence.mock.calls).toEqual([[2]]);
  });

  it("pings once a period while it is answered, and takes an error for an answer", async () => {
    let numPings = 0;
    const lively = new Watchdog(
      () => (++numPings % 2 ? Promise.resolve() : Promise.reject(new Error())),
      onSilence,
      PERIOD_MS,
    );
    lively.start();
    lively.start();
    await periods(10);
    expect([numPings, onSilence.mock.calls.length]).toEqual([11, 0]);
    lively.stop();
  });

  it("waits a whole period from when a frozen tab's timers fire again", async () => {
    watchdog.start();
    // The tick comes late and before the answer that waits.
    await periods(1);
    await periods(0.9);
    answers[0]();
    await periods(1.2);
    expect([answers.length, onSilence.mock.calls.length]).toEqual([2, 0]);
    await periods(2);
    expect(onSilence).toHaveBeenCalledTimes(1);
  });

  it("rests while nothing waits, and then begins anew", async () => {
    watchdog.start();
    await periods(1.5);
    watchdog.stop();
    await periods(10);
    watchdog.start();
    await periods(1.9);
    expect([answers.length, onSilence.mock.calls.length]).toEqual([2, 0]);
    watchdog.stop();
  });
});
