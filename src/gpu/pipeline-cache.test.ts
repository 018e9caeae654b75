import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { openNullDevice } from "../testing/gpu";
import { CairnError } from "../util/errors";
import type { GpuDevice } from "./device";
import { defineKernel } from "./kernel";
import { PipelineCache } from "./pipeline-cache";

const doubling = defineKernel({
  label: "doubling",
  source: `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
override COUNT: u32;
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < COUNT) {
    out[id.x] = doubled(x[id.x]);
  }
}`,
  bindings: { x: "read", out: "read_write" },
  overrides: ["COUNT"],
});
const DOUBLED = { name: "common/doubled.wgsl", source: "fn doubled(x: f32) -> f32 { return 2.0 * x; }" };
const BROKEN = { name: "common/doubled.wgsl", source: "fn doubled(x: f32) -> f32 {\n  return 2.0 * y;\n}" };

const variant = (count: number, module = DOUBLED) => ({
  prelude: { constants: { WG: "64u" } },
  modules: [module],
  overrides: { COUNT: count },
});

let gpu: GpuDevice;
let pipelines: PipelineCache;

beforeAll(async () => {
  gpu = await openNullDevice();
});
beforeEach(() => {
  gpu.device.pushErrorScope("validation");
  pipelines = new PipelineCache(gpu.device);
});
afterEach(async () => {
  vi.restoreAllMocks();
  expect(await gpu.device.popErrorScope()).toBeNull();
});

describe("PipelineCache", () => {
  it("compiles once for equal requests, also while the first compiles", async () => {
    const compile = vi.spyOn(gpu.device, "createComputePipelineAsync");
    const first = pipelines.get(doubling, variant(3));
    const second = pipelines.get(doubling, variant(3));
    expect(second).toBe(first);
    const pipeline = await first;
    expect(await pipelines.get(doubling, variant(3))).toBe(pipeline);
    expect(compile).toHaveBeenCalledTimes(1);
  });

  it("compiles anew for other overrides or another source", async () => {
    const compile = vi.spyOn(gpu.device, "createComputePipelineAsync");
    const other = { name: "common/doubled.wgsl", source: "fn doubled(x: f32) -> f32 { return x + x; }" };
    await Promise.all([3, 4].map((count) => pipelines.get(doubling, variant(count))));
    await pipelines.get(doubling, variant(3, other));
    expect(compile).toHaveBeenCalledTimes(3);
  });

  it("binds buffers by name, in the order of the descriptor", async () => {
    const { bind, label } = await pipelines.get(doubling, variant(3));
    const createBindGroup = vi.spyOn(gpu.device, "createBindGroup");
    const [x, out] = [16, 32].map((size) => gpu.device.createBuffer({ size, usage: 0x80 }));
    bind("layer0.doubling", { out, x });
    expect(label).toBe("doubling");
    expect(createBindGroup.mock.calls[0][0].entries).toEqual([
      { binding: 0, resource: { buffer: x } },
      { binding: 1, resource: { buffer: out } },
    ]);
  });

  it("names the file and the line of an error, and leaves no error behind", async () => {
    const failure = await pipelines.get(doubling, variant(3, BROKEN)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CairnError);
    expect(failure).toMatchObject({ code: "gpu_error", data: { label: "doubling" } });
    expect((failure as Error).message).toMatch(/^Shader doubling does not compile:\ncommon\/doubled\.wgsl:2:16: .*'y'/);
  });

  it("refuses an override that the shader does not have", async () => {
    const misnamed = { ...variant(3), overrides: { COUNT: 3, NUMBER: 4 } };
    const failure = await pipelines.get(doubling, misnamed).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "gpu_error", data: { label: "doubling" } });
    expect((failure as Error).message).toContain("NUMBER");
  });
});
