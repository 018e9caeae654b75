import { describe, expect, it } from "vitest";
import { readChunks } from "./chunk-reader";

const BYTES = Uint8Array.from({ length: 600_000 }, (_, index) => index % 251);

/** A stream of chunks of its own. */
const ofChunks = () =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(BYTES.slice(0, 5));
      controller.enqueue(BYTES.slice(5));
      controller.close();
    },
  });

const withSource = (type: "bytes" | undefined, source: UnderlyingDefaultSource) =>
  new ReadableStream({ ...source, type: type as undefined });

describe("readChunks", () => {
  it.each([
    ["fetch", () => new Response(BYTES).body as ReadableStream<Uint8Array>],
    ["a file", () => new Blob([BYTES]).stream()],
    ["chunks of its own", ofChunks],
  ])("gives all bytes of a stream of %s in order", async (_, open) => {
    const reader = readChunks(open());
    const copies: Uint8Array[] = [];
    for (let chunk = await reader.read(); chunk; chunk = await reader.read()) copies.push(chunk.slice());
    expect(Buffer.concat(copies).equals(BYTES)).toBe(true);
  });

  it("reads fetched bytes through one buffer", async () => {
    const reader = readChunks(new Response(BYTES).body as ReadableStream<Uint8Array>);
    const first = (await reader.read()) as Uint8Array;
    expect([...first.subarray(0, 3)]).toEqual([0, 1, 2]);
    const second = (await reader.read()) as Uint8Array;
    expect(second.length).toBeGreaterThan(0);
    expect(first.length).toBe(0);
    expect(second.buffer.byteLength).toBe(256 * 1024);
    await reader.cancel();
  });

  it.each([["bytes" as const], [undefined]])("passes on failure and cancel, stream of type %s", async (type) => {
    const failing = withSource(type, { pull: (controller) => controller.error(new Error("broken")) });
    await expect(readChunks(failing).read()).rejects.toThrow("broken");
    let numCancels = 0;
    const open = withSource(type, { cancel: () => void numCancels++ });
    await readChunks(open).cancel();
    expect(numCancels).toBe(1);
  });
});
