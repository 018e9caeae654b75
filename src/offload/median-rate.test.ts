import { expect, test } from "vitest";
import { MedianRate } from "./median-rate";

/** Samples of ten units each, by milliseconds a unit. */
function addAll(rate: MedianRate, ...msPerUnit: readonly number[]): void {
  for (const ms of msPerUnit) rate.add(10, 10 * ms);
}

test("nothing is known before there are enough samples", () => {
  const rate = new MedianRate(3, 7);
  addAll(rate, 2, 2);
  expect(rate.predictMs(4)).toBe(7);
  addAll(rate, 5);
  expect(rate.predictMs(4)).toBe(8);
});

test("the median of the last 15 samples", () => {
  const rate = new MedianRate(1, 0);
  addAll(rate, ...new Array<number>(7).fill(1), ...new Array<number>(8).fill(3));
  expect(rate.predictMs(1)).toBe(3);
  addAll(rate, 1, 1);
  // The two oldest, of 1, have gone.
  expect(rate.predictMs(1)).toBe(3);
  addAll(rate, ...new Array<number>(6).fill(1));
  expect(rate.predictMs(1)).toBe(1);
});

test("it is taken over units: one large sample outweighs several small ones", () => {
  const rate = new MedianRate(1, 0);
  for (let i = 0; i < 4; i++) rate.add(1, 20);
  rate.add(16, 32);
  expect(rate.predictMs(1)).toBe(2);
});

test("a sample of a frozen tab is left out, however large; two in a row are how things are", () => {
  const rate = new MedianRate(1, 0);
  addAll(rate, 10, 10);
  rate.add(1000, 60_000_000);
  expect(rate.predictMs(1)).toBe(10);
  const isolated = new MedianRate(1, 0);
  addAll(isolated, 10);
  for (let i = 0; i < 20; i++) addAll(isolated, 60_000, 10);
  addAll(isolated, 10);
  expect(isolated.predictMs(1)).toBe(10);
  const slower = new MedianRate(1, 0);
  addAll(slower, 10, 60_000, 60_000, 60_000);
  expect(slower.predictMs(1)).toBe(60_000);
});

test("what is many times dearer, but short, is no gap", () => {
  const rate = new MedianRate(1, 0);
  addAll(rate, 1, 100);
  addAll(rate, 100);
  expect(rate.predictMs(1)).toBe(100);
});

test("renewed: what there is holds until the next sample, which takes its place and is enough", () => {
  const rate = new MedianRate(3, 0);
  addAll(rate, 50, 50, 50, 50);
  rate.renew();
  expect(rate.predictMs(1)).toBe(50);
  addAll(rate, 2);
  expect(rate.predictMs(1)).toBe(2);
  addAll(rate, 4, 4);
  expect(rate.predictMs(1)).toBe(4);
});
