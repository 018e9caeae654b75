import { beforeAll, describe, expect, it } from "vitest";
import { readChunks } from "./chunk-reader";

/** Later than Node 20. */
beforeAll(() => {
  if ("transfer" in ArrayBuffer.prototype) return;
  const transfer = { value: freed, configurable: true };
  Object.defineProperty(ArrayBuffer.prototype, "transfer", transfer);
  return () => Reflect.deleteProperty(ArrayBuffer.prototype, "transfer");
});

function freed(this: ArrayBuffer): ArrayBuffer {
  structuredClone(this, { transfer: [this] });
  return new ArrayBuffer(0);
}

const streamOf = (...chunks: Uint8Array[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

describe("readChunks", () => {
  it("gives a stream's chunks in order, and frees each when the next is asked for", async () => {
    const [first, second] = [Uint8Array.of(1, 2), Uint8Array.of(3)];
    const reader = readChunks(streamOf(first, second));
    expect(await reader.read()).toBe(first);
    expect([...first]).toEqual([1, 2]);
    expect(await reader.read()).toBe(second);
    expect([first.byteLength, second.byteLength]).toEqual([0, 1]);
    expect(await reader.read()).toBeNull();
  });

  it("leaves alone what is a part of something larger", async () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const reader = readChunks(streamOf(bytes.subarray(0, 2), bytes.subarray(2)));
    for (let chunk = await reader.read(); chunk; ) chunk = await reader.read();
    expect([...bytes]).toEqual([1, 2, 3, 4]);
  });

  it("gives all bytes of a file", async () => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251);
    const reader = readChunks(new Blob([bytes]).stream());
    const copies: Uint8Array[] = [];
    for (let chunk = await reader.read(); chunk; chunk = await reader.read()) copies.push(chunk.slice());
    expect(Buffer.concat(copies).equals(bytes)).toBe(true);
  });

  it("passes on failure and cancel", async () => {
    const failing = new ReadableStream({ pull: (controller) => controller.error(new Error("broken")) });
    await expect(readChunks(failing).read()).rejects.toThrow("broken");
    let numCancels = 0;
    await readChunks(new ReadableStream({ cancel: () => void numCancels++ })).cancel();
    expect(numCancels).toBe(1);
  });
});
