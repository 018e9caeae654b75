import { expect, test } from "vitest";
import {
  countOf,
  formatAboutBytes,
  formatBytes,
  formatDuration,
  formatParameters,
  formatSources,
  formatTimeLeft,
} from "./format";

test("sizes are decimal and change unit at 1,000", () => {
  expect([0, 6_557_000, 999_949_999, 1_500_000_000].map(formatBytes)).toEqual([
    "0.0 MB",
    "6.6 MB",
    "999.9 MB",
    "1.50 GB",
  ]);
});

test("parameter counts take the unit that people use", () => {
  expect([260_032, 3_270_000, 1_235_814_400].map(formatParameters)).toEqual(["260 K", "3.3 M", "1.2 B"]);
});

test("durations never read 1000 ms", () => {
  expect([0.4, 999.4, 999.6, 12_340].map(formatDuration)).toEqual(["0 ms", "999 ms", "1.0 s", "12.3 s"]);
});

test("one is singular", () => {
  expect([countOf(0, "token"), countOf(1, "token"), countOf(1024, "token")]).toEqual([
    "0 tokens",
    "1 token",
    "1,024 tokens",
  ]);
});

test("a prompt's tokens are all accounted for, and no tier is named that had none", () => {
  const tokens = [
    { gpu: 0, host: 0, storage: 0 },
    { gpu: 1600, host: 0, storage: 0 },
    { gpu: 16, host: 32, storage: 0 },
    { gpu: 0, host: 0, storage: 1999 },
    { gpu: 16, host: 32, storage: 64 },
  ];
  expect(tokens.map((each) => formatSources(2000, each))).toEqual([
    "all computed",
    "400 computed, 1,600 on the GPU",
    "1,952 computed, 16 on the GPU, 32 from RAM",
    "1 computed, 1,999 from storage",
    "1,888 computed, 16 on the GPU, 32 from RAM, 64 from storage",
  ]);
});

test("rough sizes have no digits that nobody knows", () => {
  expect([270_000_000, 725_400_000, 2_200_000_000].map(formatAboutBytes)).toEqual(["270 MB", "725 MB", "2.2 GB"]);
});

test("the time left is rough, and never nothing", () => {
  expect([0.2, 12.4, 59.6, 200, 4790].map(formatTimeLeft)).toEqual(["1 s", "12 s", "1 min", "3 min", "1 h 20 min"]);
});
