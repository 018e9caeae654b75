import { expect, test } from "vitest";
import { measureScaling, SCALING_CASES, type ScalingRow } from "./scaling";

const rows = SCALING_CASES.map(measureScaling);
const alone = rows[0];
const busy = rows.filter(({ numWaiting }) => numWaiting === 0);

test("1 to 256 run, up to 10,000 wait", () => {
  expect(busy.map(({ numRunning }) => numRunning)).toEqual([1, 4, 16, 64, 256]);
  expect(Math.max(...rows.map(({ numWaiting }) => numWaiting))).toBe(10_000);
});

test.each(busy)("$numRunning that run cost at most $numRunning times as much as one", (row) => {
  expect(row.requestsVisitedPerStep).toBeGreaterThan(0);
  expect(row.blocksVisitedPerStep).toBeGreaterThan(0);
  expect(row.requestsVisitedPerStep).toBeLessThanOrEqual(row.numRunning * alone.requestsVisitedPerStep);
  expect(row.blocksVisitedPerStep).toBeLessThanOrEqual(row.numRunning * alone.blocksVisitedPerStep);
});

test.each(["rows", "blocks"])("10,000 that wait for %s cost what one costs", (shortOf) => {
  const waiting = rows.filter((row) => row.numWaiting > 0 && row.shortOf === shortOf);
  expect(waiting.map(({ numWaiting }) => numWaiting)).toEqual([1, 100, 10_000]);
  expect(new Set(waiting.map(visited)).size).toBe(1);
});

test("one that waits costs a look at each that runs and at itself, at most", () => {
  const one = rows.filter(({ numWaiting }) => numWaiting === 1);
  expect(one.length).toBe(2);
  for (const { numRunning, requestsVisitedPerStep, blocksVisitedPerStep } of one) {
    const without = busy.find((row) => row.numRunning === numRunning)!;
    expect(requestsVisitedPerStep - without.requestsVisitedPerStep).toBeLessThanOrEqual(numRunning + 1);
    expect(blocksVisitedPerStep - without.blocksVisitedPerStep).toBeLessThanOrEqual(1);
  }
});

function visited({ requestsVisitedPerStep, blocksVisitedPerStep }: ScalingRow): string {
  return `${requestsVisitedPerStep} requests, ${blocksVisitedPerStep} blocks`;
}
