import { expect, test } from "vitest";
import { PrefixHashes } from "../../kv/prefix-hashes";
import { chunkHeader } from "./chunk-header";

test("a header has the blocks' ids and the hash of what came before them", () => {
  const ids = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
  const hashes = new PrefixHashes(4, { cacheSalt: null }, (start, end) => ids.slice(start, end));
  expect(chunkHeader(hashes, 1, 2)).toEqual({ parent: null, tokenIds: [1, 2, 3, 4, 5, 6, 7, 8] });
  expect(chunkHeader(hashes, 2, 2)).toEqual({ parent: hashes.at(0), tokenIds: [5, 6, 7, 8, 9, 10, 11, 12] });
  expect(chunkHeader(hashes, 2, 1)).toEqual({ parent: hashes.at(1), tokenIds: [9, 10, 11, 12] });
});
