import { expect, it } from "vitest";
import { type DownloadedBytes, DownloadProgress } from "./download-progress";

function progressAt(): { progress: DownloadProgress; reports: DownloadedBytes[]; at: (ms: number) => void } {
  let now = 0;
  const reports: DownloadedBytes[] = [];
  const progress = new DownloadProgress(
    (bytes) => reports.push(bytes),
    () => now,
  );
  const at = (ms: number) => {
    now = ms;
  };
  return { progress, reports, at };
}

it("sums up files, tells ten times a second, and at the end", () => {
  const { progress, reports, at } = progressAt();
  progress.set("a", 400, 1000);
  progress.set("b", 0, 50);
  for (let ms = 0; ms < 500; ms += 10) {
    at(ms);
    progress.add("a", 10);
  }
  progress.add("b", 50);
  progress.add("a", 100);
  expect(reports.map(({ loaded }) => loaded)).toEqual([410, 510, 610, 710, 810, 1050]);
  expect(reports.map(({ total }) => total)).toEqual(new Array(6).fill(1050));
  expect(reports.at(-1)?.file).toBe("a");
});

it("of a file of unknown size is told no more often", () => {
  const { progress, reports, at } = progressAt();
  progress.set("a", 0, null);
  for (let ms = 0; ms < 300; ms += 10) {
    at(ms);
    progress.add("a", 10);
  }
  expect(reports.map(({ loaded, total }) => [loaded, total])).toEqual([
    [10, 10],
    [110, 110],
    [210, 210],
  ]);
});

it("tells the rate of the last seconds; what was there before, and what begins anew, is not received", () => {
  const { progress, reports, at } = progressAt();
  progress.set("a", 1_000_000, 2_000_000);
  for (let ms = 0; ms <= 10_000; ms += 200) {
    at(ms);
    progress.add("a", ms <= 5_000 ? 100 : 1_000);
  }
  const rate = (index: number) => Math.round(reports[index].bytesPerSecond);
  expect([rate(0), rate(20), rate(50)]).toEqual([0, 500, 5_000]);
  progress.set("a", 0, 2_000_000);
  at(10_200);
  progress.add("a", 1_000);
  expect(reports.at(-1)).toMatchObject({ loaded: 1_000, bytesPerSecond: 5_000 });
});
