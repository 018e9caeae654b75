import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bytesToHex, Sha256, sha256 } from "./sha256";

const reference = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("the standard's examples", () => {
  const hash = (text: string) => bytesToHex(sha256(new TextEncoder().encode(text)));
  expect(hash("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(hash("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test("every length around the ends of blocks", () => {
  for (let length = 0; length < 200; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => 7 * i + length);
    expect(bytesToHex(sha256(bytes))).toBe(reference(bytes));
  }
});

test("pieces of any length give the hash of the whole", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (pieces) => {
      const hash = new Sha256();
      for (const piece of pieces) hash.update(piece);
      expect(bytesToHex(hash.digest())).toBe(reference(Buffer.concat(pieces)));
    }),
  );
});

test.skipIf(!process.env.CAIRN_SOAK)("2^32 bits and more are counted right", () => {
  const zeros = new Uint8Array(2 ** 20);
  const counter = new Sha256();
  const expected = createHash("sha256");
  for (let i = 0; i < 513; i++) {
    counter.update(zeros);
    expected.update(zeros);
  }
  expect(bytesToHex(counter.digest())).toBe(expected.digest("hex"));
});
