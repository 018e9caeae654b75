import { ceilDiv } from "../util/math";
import type { KvGeometry } from "./geometry";

/**
 * Blocks that a group must find cached for a hit that ends at a block boundary: all before it for full attention (null),
 * for a sliding group those that the first query behind the boundary still sees.
 */
export function numBlocksBehind(window: number | null, blockSize: number): number | null {
  return window === null ? null : ceilDiv(window - 1, blockSize);
}

/** The first of `numBlocks` blocks that the query behind them sees. */
export function firstBlockSeen(window: number | null, blockSize: number, numBlocks: number): number {
  return Math.max(0, numBlocks - (numBlocksBehind(window, blockSize) ?? numBlocks));
}

/**
 * The longest prefix of at most `maxBlocks` blocks at whose end every KV cache group has what it needs. A fixed point:
 * each group in turn can only shorten it, until none does.
 */
export function longestPrefix(
  geometry: KvGeometry,
  maxBlocks: number,
  isCached: (group: number, index: number) => boolean,
): number {
  let numBlocks = maxBlocks;
  for (let previous = -1; previous !== numBlocks; ) {
    previous = numBlocks;
    geometry.groups.forEach(({ window }, group) => {
      const behind = numBlocksBehind(window, geometry.blockSize);
      const isCachedHere = (index: number) => isCached(group, index);
      numBlocks = behind === null ? leadingRun(numBlocks, isCachedHere) : lastRun(numBlocks, behind, isCachedHere);
    });
  }
  return numBlocks;
}

function leadingRun(maxBlocks: number, isCached: (index: number) => boolean): number {
  let length = 0;
  while (length < maxBlocks && isCached(length)) length++;
  return length;
}

/** The last end of `behind` cached blocks in a row, or of fewer that begin at 0. */
function lastRun(maxBlocks: number, behind: number, isCached: (index: number) => boolean): number {
  let end = maxBlocks;
  for (let index = end - 1; index >= Math.max(0, end - behind); index--) {
    if (!isCached(index)) end = index;
  }
  return end;
}
