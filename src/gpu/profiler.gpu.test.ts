import { afterEach, describe, expect, it, vi } from "vitest";
import { openDawn } from "../testing/gpu";
import { Buffers, USAGE } from "./buffers";
import type { GpuDevice } from "./device";
import { Profiler } from "./profiler";

const gpu = await openDawn();

afterEach(() => vi.restoreAllMocks());

/** Encodes one empty pass a label and submits. */
function submitPasses({ device }: GpuDevice, profiler: Profiler, labels: readonly string[]): void {
  const commands = device.createCommandEncoder();
  for (const label of labels) {
    commands.beginComputePass({ label, timestampWrites: profiler.timestampWrites(label) }).end();
  }
  profiler.resolve(commands);
  device.queue.submit([commands.finish()]);
}

describe.skipIf(!gpu?.timestamps)("Profiler", () => {
  const device = gpu as GpuDevice;

  it("counts every pass of every submit by label, and holds no staging buffer afterwards", async () => {
    const buffers = new Buffers(device.device);
    const profiler = new Profiler(device, buffers);
    submitPasses(device, profiler, ["norm", "gemv", "gemv"]);
    submitPasses(device, profiler, ["gemv"]);
    const entries = await profiler.collect();

    expect(new Map(entries.map(({ label, count }) => [label, count]))).toEqual(
      new Map([
        ["norm", 1],
        ["gemv", 3],
      ]),
    );
    for (const { totalMs, averageMs, count } of entries) expect(averageMs).toBe(totalMs / count);
    expect(await profiler.collect()).toEqual([]);
    profiler.destroy();
    expect(buffers.bytes).toBe(0);
  });

  it("keeps apart what overlapping calls collect, and draws it one after the other", async () => {
    const measure = vi.spyOn(performance, "measure");
    const buffers = new Buffers(device.device);
    const profiler = new Profiler(device, buffers);
    submitPasses(device, profiler, ["norm", "gemv"]);
    const first = profiler.collect();
    submitPasses(device, profiler, ["gemv", "sample"]);
    const second = profiler.collect();
    const counts = (await Promise.all([first, second])).map((entries) =>
      entries.map(({ label, count }) => `${count} ${label}`).sort(),
    );
    expect(counts).toEqual([
      ["1 gemv", "1 norm"],
      ["1 gemv", "1 sample"],
    ]);
    expect(measure.mock.calls.map(([label]) => label)).toEqual(["norm", "gemv", "gemv", "sample"]);
    const times = measure.mock.calls.map(([, options]) => options as { start: number; end: number });
    for (const [index, { start }] of times.entries()) expect(start).toBeGreaterThanOrEqual(times[index - 1]?.end ?? 0);
    profiler.destroy();
    expect(buffers.bytes).toBe(0);
  });

  it("times a submit with more passes than a query set holds", async () => {
    const buffers = new Buffers(device.device);
    const profiler = new Profiler(device, buffers);
    device.device.pushErrorScope("validation");
    submitPasses(device, profiler, new Array(2049).fill("many"));
    expect(await device.device.popErrorScope()).toBeNull();
    expect((await profiler.collect()).map(({ label, count }) => [label, count])).toEqual([["many", 2049]]);
    profiler.destroy();
  });

  it("draws each pass on the GPU track of the performance panel", async () => {
    const measure = vi.spyOn(performance, "measure");
    const profiler = new Profiler(device, new Buffers(device.device));
    submitPasses(device, profiler, ["norm", "gemv"]);
    await profiler.collect();
    expect(measure.mock.calls.map(([label]) => label)).toEqual(["norm", "gemv"]);
    expect(measure.mock.calls[0][1]).toMatchObject({ detail: { devtools: { trackGroup: "Cairn", track: "GPU" } } });
    profiler.destroy();
  });

  it("does nothing without timestamps", async () => {
    const buffers = new Buffers(device.device);
    const profiler = new Profiler({ ...device, timestamps: false }, buffers);
    expect(profiler.timestampWrites("norm")).toBeUndefined();
    submitPasses(device, profiler, ["norm"]);
    expect(await profiler.collect()).toEqual([]);
    expect(buffers.bytes).toBe(0);
  });

  it("gives back what was never collected", () => {
    const buffers = new Buffers(device.device);
    const profiler = new Profiler(device, buffers);
    submitPasses(device, profiler, ["norm"]);
    expect(buffers.bytes).toBeGreaterThan(0);
    profiler.destroy();
    expect(buffers.bytes).toBe(0);
  });

  it("tells times and shares, longest first", async () => {
    const buffers = new Buffers(device.device);
    const create = vi.spyOn(buffers, "create");
    const profiler = new Profiler(device, buffers);
    profiler.timestampWrites("a");
    profiler.timestampWrites("b");
    const commands = device.device.createCommandEncoder();
    profiler.resolve(commands);
    const staging = create.mock.results.at(-1)?.value as GPUBuffer;
    // Known times in place of what the queries gave: a took 1 ms, b took 3 ms.
    const times = buffers.create("times", 32, USAGE.COPY_SRC | USAGE.COPY_DST);
    device.device.queue.writeBuffer(times, 0, BigUint64Array.of(5_000_000n, 6_000_000n, 6_000_000n, 9_000_000n));
    commands.copyBufferToBuffer(times, 0, staging, 0, 32);
    device.device.queue.submit([commands.finish()]);

    expect(await profiler.collect()).toEqual([
      { label: "b", count: 1, totalMs: 3, averageMs: 3, share: 0.75 },
      { label: "a", count: 1, totalMs: 1, averageMs: 1, share: 0.25 },
    ]);
    profiler.destroy();
  });
});
