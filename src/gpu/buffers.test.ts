import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openNullDevice } from "../testing/gpu";
import { CairnError } from "../util/errors";
import { Buffers, USAGE } from "./buffers";
import type { GpuDevice } from "./device";

let gpu: GpuDevice;
let buffers: Buffers;

beforeAll(async () => {
  gpu = await openNullDevice();
});
beforeEach(() => {
  gpu.device.pushErrorScope("validation");
  buffers = new Buffers(gpu.device);
});
afterEach(async () => {
  buffers.destroyAll();
  expect(await gpu.device.popErrorScope()).toBeNull();
});

describe("Buffers", () => {
  it("counts live bytes, in units of 16", () => {
    const small = buffers.storage("small", 1);
    const large = buffers.storage("large", 33);
    expect([small.size, large.size, buffers.bytes]).toEqual([16, 48, 64]);
    buffers.destroy(small);
    expect(buffers.bytes).toBe(48);
    buffers.destroyAll();
    expect(buffers.bytes).toBe(0);
  });

  it("refuses to destroy a buffer twice, and one that another owner made", () => {
    const own = buffers.storage("own", 16);
    buffers.destroy(own);
    expect(() => buffers.destroy(own)).toThrow(
      new CairnError("internal", "Buffer own is destroyed twice or is not ours."),
    );
    const others = new Buffers(gpu.device);
    const foreign = others.storage("foreign", 16);
    expect(() => buffers.destroy(foreign)).toThrow(/foreign/);
    others.destroyAll();
  });

  it("makes uniform buffers that a kernel can bind and nobody can read back", () => {
    const uniform = buffers.uniform("params", Uint32Array.of(1, 2, 3));
    expect(uniform.size).toBe(16);
    expect(uniform.usage).toBe(USAGE.UNIFORM | USAGE.COPY_DST);
  });

  it("tells how much a large buffer would have taken, and holds nothing", async () => {
    buffers.storage("held", 32);
    const size = gpu.maxBufferBytes + 16;
    const failure = await buffers.large("kv.plane0", size).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CairnError);
    expect(failure).toMatchObject({
      code: "out_of_memory",
      data: { label: "kv.plane0", neededBytes: size, heldBytes: 32 },
    });
    expect(buffers.bytes).toBe(32);
  });

  it("gives a large buffer that fits", async () => {
    const buffer = await buffers.large("fits", 1024);
    expect([buffer.size, buffers.bytes]).toEqual([1024, 1024]);
  });
});
