import { beforeAll, describe, expect, it } from "vitest";
import { type MemberInfo, ResourceType, type VariableInfo, WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";
import type { GpuDevice } from "../gpu/device";
import type { BindingKind, Kernel, KernelVariant } from "../gpu/kernel";
import { PipelineCache } from "../gpu/pipeline-cache";
import { composeWgsl } from "../gpu/wgsl";
import { openNullDevice } from "../testing/gpu";
import { testVariants } from "../testing/kernel-context";
import { allKernels, type PackedParams } from "./all-kernels";

let gpu: GpuDevice;

beforeAll(async () => {
  gpu = await openNullDevice();
});

function reflect(kernel: Kernel, { prelude, modules }: KernelVariant): WgslReflect {
  return new WgslReflect(composeWgsl(prelude, [...modules, kernel.source]).code);
}

function kindOf({ resourceType, access }: VariableInfo): BindingKind {
  if (resourceType === ResourceType.Uniform) return "uniform";
  return access === "read_write" ? "read_write" : "read";
}

interface Leaf {
  readonly path: string;
  readonly type: string;
  readonly offset: number;
}

/** The scalar members of a struct with their byte offsets, those of nested structs included. */
function leaves(members: readonly MemberInfo[], path = "", base = 0): Leaf[] {
  return members.flatMap((member) => {
    const name = path + member.name;
    const offset = base + member.offset;
    if (member.members) return leaves(member.members, `${name}.`, offset);
    return [{ path: name, type: member.type.name, offset }];
  });
}

/** What a shader with these params reads from the packed words, by member in the struct's order. */
function readParams(params: VariableInfo, { words }: PackedParams): [path: string, value: number][] {
  const floats = new Float32Array(words.buffer);
  return leaves(params.members ?? []).map(({ path, type, offset }) => [
    path,
    (type === "f32" ? floats : words)[offset / 4],
  ]);
}

it("lists the kernels of every file that defines one", () => {
  const modules = import.meta.glob<Record<string, unknown>>(["./*.ts", "!./*.test.ts", "!./*.cases.ts"], {
    eager: true,
  });
  const defined = Object.values(modules).flatMap((module) =>
    Object.values(module).filter(
      (value) => typeof value === "object" && value !== null && "bindings" in value && "source" in value,
    ),
  );
  expect(new Set(allKernels.map(({ kernel }) => kernel))).toEqual(new Set(defined));
});

describe.each(allKernels)("$kernel.label", ({ kernel, variants, params }) => {
  it("compiles in every variant", async () => {
    const devices = testVariants(gpu);
    expect(devices).toHaveLength(4);
    const pipelines = new PipelineCache(gpu.device);
    gpu.device.pushErrorScope("validation");
    await Promise.all(devices.flatMap(variants).map((variant) => pipelines.get(kernel, variant)));
    expect(await gpu.device.popErrorScope()).toBeNull();
  });

  it("has the bindings and overrides of its descriptor in every variant", () => {
    for (const variant of testVariants(gpu).flatMap(variants)) {
      const shader = reflect(kernel, variant);
      const bindings = shader.getBindGroups()[0].map((binding) => [binding.name, kindOf(binding)]);
      expect(bindings).toEqual(Object.entries(kernel.bindings));
      const storage = bindings.filter(([, kind]) => kind !== "uniform");
      expect(storage.length).toBeLessThanOrEqual(8);
      expect(shader.overrides.map(({ name }) => name).sort()).toEqual([...kernel.overrides].sort());
      expect(Object.keys(variant.overrides).sort()).toEqual([...kernel.overrides].sort());
      expect(shader.entry.compute.map(({ name }) => name)).toEqual(["main"]);
    }
  });

  it("packs its params as the shader reads them", () => {
    const { uniforms } = reflect(kernel, variants({ f16: false, subgroups: false })[0]);
    expect(uniforms.map(({ name }) => name)).toEqual(params ? ["params"] : []);
    if (!params) return;
    expect(new Set(Object.values(params.members)).size).toBe(Object.keys(params.members).length);
    expect(readParams(uniforms[0], params)).toEqual(Object.entries(params.members));
    expect(uniforms[0].size).toBeLessThanOrEqual(Math.ceil(params.words.byteLength / 16) * 16);
  });
});
