import type { ModelStore, StoreRoot } from "../loader/cache/model-store";

const BYTES = Uint8Array.from({ length: 10_000_000 }, (_, index) => (index ^ (index >> 8)) & 0xff);

/** What a StoreRoot does that its interface does not promise, in words; it must be new or have no folder "suite". */
export async function checkStore(root: StoreRoot): Promise<string[]> {
  const problems: string[] = [];
  const expect = (what: string, actual: unknown, expected: unknown) => {
    const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (got !== wanted) problems.push(`${what}: ${got}, not ${wanted}`);
  };
  const store = await root.open("suite");
  expect("size of no file", await store.size("a.bin"), 0);
  await store.remove("a.bin");
  await append(store, "a.bin", [BYTES.subarray(0, 3), BYTES.subarray(3, 5_000_000)]);
  await append(store, "a.bin", [BYTES.subarray(5_000_000), new Uint8Array()]);
  await append(store, "~b.json", [BYTES.subarray(7, 9)]);
  const again = await root.open("suite");
  expect("size", await again.size("a.bin"), BYTES.length);
  expect("another size", await again.size("~b.json"), 2);
  expect("bytes", await differsAt(again, "a.bin", 0, BYTES.length), -1);
  for (const [start, end] of [
    [0, 1],
    [4_194_300, 4_194_310],
    [2_500_000, 9_999_999],
    [9_999_990, 10_000_010],
  ]) {
    expect(`bytes ${start} to ${end}`, await differsAt(again, "a.bin", start, end), -1);
  }
  expect("folders", (await root.list()).includes("suite"), true);
  await again.remove("a.bin");
  expect("size of a removed file", [await again.size("a.bin"), await again.size("~b.json")], [0, 2]);
  await append(again, "a.bin", [BYTES.subarray(1, 3)]);
  expect("size of a file made again", await store.size("a.bin"), 2);
  await root.remove("suite");
  await root.remove("suite");
  expect("folders at the end", (await root.list()).includes("suite"), false);
  expect("size in a removed folder", await (await root.open("suite")).size("a.bin"), 0);
  await root.remove("suite");
  return problems;
}

async function append(store: ModelStore, file: string, chunks: readonly Uint8Array[]): Promise<void> {
  const writer = await store.append(file);
  for (const chunk of chunks) {
    const lent = chunk.slice();
    await writer.write(lent);
    lent.fill(0);
  }
  await writer.close();
}

/** The position of the first byte that is another one than in BYTES, or is missing; -1 where there is none. */
async function differsAt(store: ModelStore, file: string, start: number, end: number): Promise<number> {
  const body = await store.read(file, { start, end });
  const bytes = new Uint8Array(await new Response(body as BodyInit).arrayBuffer());
  const expected = BYTES.subarray(start, end);
  if (bytes.length !== expected.length) return start + Math.min(bytes.length, expected.length);
  const index = bytes.findIndex((byte, at) => byte !== expected[at]);
  return index < 0 ? -1 : start + index;
}
