import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CairnError, type KvStats } from "../index";
import { SAMPLE_KV_STATS } from "../testing/sample-kv-stats";
import { KvMonitor } from "./kv-monitor";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A source whose stats count how often it was asked, as preemptions. */
function countingSource() {
  let numReads = 0;
  return {
    stats: vi.fn(async (): Promise<KvStats> => ({ ...SAMPLE_KV_STATS, numPreemptions: ++numReads })),
    clear: vi.fn(async () => {}),
  };
}

const read = (numPreemptions: number) => ({ status: "read", stats: { ...SAMPLE_KV_STATS, numPreemptions } });

test("reads once a second while somebody watches, and at once when somebody begins to", async () => {
  const source = countingSource();
  const monitor = new KvMonitor();
  monitor.connect(source);
  await vi.advanceTimersByTimeAsync(5000);
  expect(source.stats).not.toHaveBeenCalled();

  const readings: unknown[] = [];
  const unwatch = monitor.watch(() => readings.push(monitor.reading));
  await vi.advanceTimersByTimeAsync(0);
  expect(readings).toEqual([read(1)]);
  await vi.advanceTimersByTimeAsync(2999);
  expect(readings).toEqual([read(1), read(2), read(3)]);

  unwatch();
  await vi.advanceTimersByTimeAsync(5000);
  expect(source.stats).toHaveBeenCalledTimes(3);
  expect(vi.getTimerCount()).toBe(0);
});

test("asks a slow engine once at a time, also when somebody looked away meanwhile", async () => {
  const source = countingSource();
  let answer: (stats: KvStats) => void = () => {};
  source.stats.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
  const monitor = new KvMonitor();
  monitor.connect(source);
  const unwatch = monitor.watch(() => {});
  await vi.advanceTimersByTimeAsync(5000);
  expect(source.stats).toHaveBeenCalledTimes(1);

  unwatch();
  monitor.watch(() => {});
  answer(SAMPLE_KV_STATS);
  await vi.advanceTimersByTimeAsync(0);
  expect(vi.getTimerCount()).toBe(1);
});

test("clears, then reads", async () => {
  const source = countingSource();
  const monitor = new KvMonitor();
  monitor.connect(source);
  await monitor.clear(["storage"]);
  expect(source.clear).toHaveBeenCalledExactlyOnceWith({ tiers: ["storage"] });
  expect(source.clear.mock.invocationCallOrder[0]).toBeLessThan(source.stats.mock.invocationCallOrder[0]!);
  expect(monitor.reading).toEqual(read(1));
});

test("a failure is a reading, and the next one may succeed", async () => {
  const source = countingSource();
  source.stats.mockRejectedValueOnce(new CairnError("worker_failed", "it died"));
  source.clear.mockRejectedValueOnce(new Error("broken pipe"));
  const monitor = new KvMonitor();
  monitor.connect(source);
  await monitor.refresh();
  expect(monitor.reading).toMatchObject({ status: "failed", error: { code: "worker_failed" } });
  await monitor.clear(["storage"]);
  expect(monitor.reading).toMatchObject({ status: "failed", error: { code: "internal", message: "broken pipe" } });
  await monitor.refresh();
  expect(monitor.reading).toEqual(read(1));
});

test("another engine's numbers replace the old one's, whose late answer counts for nothing", async () => {
  const old = countingSource();
  let answer: (stats: KvStats) => void = () => {};
  old.stats.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
  const monitor = new KvMonitor();
  monitor.connect(old);
  const late = monitor.refresh();
  monitor.connect(null);
  answer(SAMPLE_KV_STATS);
  await late;
  expect(monitor.reading).toEqual({ status: "empty" });
  await monitor.refresh();
  expect(monitor.reading).toEqual({ status: "empty" });

  monitor.watch(() => {});
  monitor.connect(countingSource());
  await vi.advanceTimersByTimeAsync(0);
  expect(monitor.reading).toEqual(read(1));
});
