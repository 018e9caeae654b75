import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { PrefixHashes } from "./prefix-hashes";

const NO_SALT = { cacheSalt: null };

function hashesOf(tokenIds: readonly number[], blockSize = 4, cacheSalt: string | null = null): PrefixHashes {
  return new PrefixHashes(blockSize, { cacheSalt }, (start, end) => tokenIds.slice(start, end));
}

/** The same chain by another road: node's SHA-256 over bytes that are laid out here by hand. */
function expectedHashes(tokenIds: readonly number[], blockSize: number, rootText: string): string[] {
  const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest().subarray(0, 16);
  let previous = digest(Buffer.from(rootText, "utf8"));
  return Array.from({ length: Math.floor(tokenIds.length / blockSize) }, (_, block) => {
    const ids = tokenIds.slice(block * blockSize, (block + 1) * blockSize);
    const littleEndian = ids.flatMap((id) => [id % 256, (id >>> 8) % 256, (id >>> 16) % 256, id >>> 24]);
    previous = digest(Buffer.concat([previous, Buffer.from(littleEndian)]));
    return previous.toString("hex");
  });
}

describe("the bytes that are hashed", () => {
  const tokenIds = [0, 1, 255, 256, 65_535, 65_536, 262_143, 4_294_967_295, 7, 8, 9, 10, 11, 12, 13, 14];

  test.each([
    { blockSize: 1, cacheSalt: null, root: '{"cacheSalt":null}' },
    { blockSize: 4, cacheSalt: null, root: '{"cacheSalt":null}' },
    { blockSize: 4, cacheSalt: "", root: '{"cacheSalt":""}' },
    { blockSize: 4, cacheSalt: "null", root: '{"cacheSalt":"null"}' },
    { blockSize: 8, cacheSalt: 'é "x"', root: '{"cacheSalt":"é \\"x\\""}' },
    { blockSize: 16, cacheSalt: null, root: '{"cacheSalt":null}' },
  ])("agree with node:crypto: block size $blockSize, salt $cacheSalt", ({ blockSize, cacheSalt, root }) => {
    const hashes = hashesOf(tokenIds, blockSize, cacheSalt);
    const expected = expectedHashes(tokenIds, blockSize, root);
    expect(expected.map((_, index) => hashes.at(index))).toEqual(expected);
  });

  test("tell a lossy encoding, where there is one", () => {
    const rootOf = (lossyEncoding?: "int8") =>
      new PrefixHashes(4, { cacheSalt: null, lossyEncoding }, (start, end) => tokenIds.slice(start, end)).at(0);
    expect(rootOf()).toBe(hashesOf(tokenIds).at(0));
    expect([rootOf("int8")]).toEqual(
      expectedHashes(tokenIds.slice(0, 4), 4, '{"cacheSalt":null,"lossyEncoding":"int8"}'),
    );
  });

  test("never change: caches on disk are named by them", () => {
    const hashes = hashesOf(
      Array.from({ length: 32 }, (_, i) => i),
      16,
    );
    expect([hashes.at(0), hashes.at(1)]).toEqual([
      "551e274881c7bd95b2d59ebca95a5c79",
      "15def4660909f1569e32e02d80464b35",
    ]);
  });
});

describe("a hash names all that lies before its block's end", () => {
  const base = Array.from({ length: 12 }, (_, i) => 10 + i);
  const all = (tokenIds: readonly number[], cacheSalt: string | null = null) =>
    [0, 1, 2].map((index) => hashesOf(tokenIds, 4, cacheSalt).at(index));

  test.each([
    { changed: 0, numEqual: 0 },
    { changed: 3, numEqual: 0 },
    { changed: 4, numEqual: 1 },
    { changed: 11, numEqual: 2 },
  ])("another id at $changed leaves $numEqual hashes as they were", ({ changed, numEqual }) => {
    const other = all(base.with(changed, 99));
    const same = all(base).map((hash, index) => hash === other[index]);
    expect(same).toEqual([0, 1, 2].map((index) => index < numEqual));
  });

  test("the same block elsewhere has another hash", () => {
    const hashes = hashesOf([1, 2, 3, 4, 1, 2, 3, 4]);
    expect(hashes.at(1)).not.toBe(hashes.at(0));
  });

  test("every salt, null among them, has hashes of its own in every block", () => {
    const hashes = [null, "", "null", "a", "b"].flatMap((salt) => all(base, salt));
    expect(new Set(hashes).size).toBe(15);
    expect(all(base, "a")).toEqual(all(base, "a"));
  });
});

describe("they are made when first asked for", () => {
  test("each block's ids are read once, in order, whatever is asked first", () => {
    const reads: string[] = [];
    const hashes = new PrefixHashes(4, NO_SALT, (start, end) => {
      reads.push(`${start}..${end}`);
      return [1, 2, 3, start];
    });
    const last = hashes.at(2);
    expect(hashes.at(0)).toBe(hashesOf([1, 2, 3, 0]).at(0));
    expect(hashes.at(2)).toBe(last);
    expect(reads).toEqual(["0..4", "4..8", "8..12"]);
  });

  test("a block is refused until its last id is known, and has its hash from then on", () => {
    const known = [1, 2, 3, 4, 5, 6, 7];
    const hashes = hashesOf(known);
    expect(() => hashes.at(1)).toThrow(
      expect.objectContaining({ code: "internal", message: "block at 4 has 3 known ids, is not full" }),
    );
    known.push(8);
    expect(hashes.at(1)).toBe(hashesOf([1, 2, 3, 4, 5, 6, 7, 8]).at(1));
    expect(() => hashes.at(2)).toThrow("block at 8 has 0 known ids");
  });
});
