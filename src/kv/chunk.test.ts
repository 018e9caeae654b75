import { expect, test } from "vitest";
import { chooseBlocksPerChunk } from "./chunk";

const group = (window: number | null) => ({ kind: window === null ? "full" : "sliding", window, layers: [0] }) as const;

test.each([
  ["64 tokens", [null], 16, 4],
  ["half the smallest window", [null, 64, 512], 16, 2],
  ["no part of a block", [null, 90], 16, 2],
  ["one block at least", [null, 16], 16, 1],
  ["one block at least, also of a window of one token", [1], 16, 1],
  ["half a MiB of pages that are large", [null], 256 * 1024, 2],
  ["a page of its own where it is larger still", [null], 1 << 20, 1],
  ["all of 64 tokens where half a MiB is more than these", [null], 128 * 1024, 4],
])("a chunk holds %s", (_, windows, pageBytes, expected) => {
  expect(chooseBlocksPerChunk({ blockSize: 16, groups: windows.map(group), pageBytes })).toBe(expected);
});
