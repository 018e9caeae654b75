import { expect, test } from "vitest";
import { PipelineCache } from "../src/gpu/pipeline-cache";
import type { WgslModule } from "../src/gpu/wgsl";
import { allKernels } from "../src/kernels/all-kernels";
import { openNullDevice } from "../src/testing/gpu";
import { minifyWgsl, readShaders, shortNames, stripWgsl } from "./minify-wgsl";

test("line comments, and blanks that separate nothing, go", () => {
  expect(stripWgsl("// head\n\nfn main() {  // why\n  let a = 1 / 2;\n\n}\n")).toBe("fn main(){let a=1/2;}");
  expect(stripWgsl("@compute @workgroup_size(64)\nfn main(\n  a: u32,\n) {}")).toBe(
    "@compute@workgroup_size(64)fn main(a:u32){}",
  );
});

test("a blank stays between two words and between operators that would read as one", () => {
  expect(stripWgsl("let  a = b - -c;")).toBe("let a=b- -c;");
  expect(stripWgsl("var<workgroup> a: array<vec4<u32>, 4> = b;")).toBe("var<workgroup>a:array<vec4<u32>,4> =b;");
});

test("block comments nest and separate tokens", () => {
  expect(stripWgsl("let/* a /* b */ c */x = 1;")).toBe("let x=1;");
  expect(stripWgsl("a /* one\ntwo */ b")).toBe("a b");
});

test("comment marks inside the other kind of comment mean nothing", () => {
  expect(stripWgsl("a; // not /* open\nb;")).toBe("a;b;");
  expect(stripWgsl("a; /* // */ b;")).toBe("a;b;");
});

test("a line comment without a line end is taken to the end of the file", () => {
  expect(stripWgsl("a; // tail")).toBe("a;");
});

test("declared names become short ones, the same in every file; others stay", () => {
  const common = "fn help(value: f32) -> f32 { return max(value, 1.0) * f32(WG); }";
  const shader =
    "override WIDTH: u32;\n@group(0) @binding(0) var<storage> group: f32;\nfn main() { group = help(1e5f); }";
  const names = shortNames([common, shader]);
  expect([...names.keys()].sort()).toEqual(["group", "help", "value"]);
  const [group, help, value] = ["group", "help", "value"].map((name) => names.get(name));
  expect(minifyWgsl(common, names)).toBe(`fn ${help}(${value}:f32)->f32{return max(${value},1.0)*f32(WG);}`);
  expect(minifyWgsl(shader, names)).toBe(
    `override WIDTH:u32;@group(0)@binding(0)var<storage>${group}:f32;fn main(){${group}=${help}(1e5f);}`,
  );
});

test("a short name is none that a shader has", () => {
  const taken = shortNames(["fn long_name(a: f32, b: f32) {}"]).get("long_name");
  expect(taken).toBe("c");
});

test("every kernel compiles with minified shaders, on a device with everything and on one with nothing", async () => {
  const { device } = await openNullDevice();
  const names = shortNames([...readShaders().values()]);
  const minified = (module: WgslModule) => ({ ...module, source: minifyWgsl(module.source, names) });
  const pipelines = new PipelineCache(device);
  device.pushErrorScope("validation");
  for (const { kernel, variants } of allKernels) {
    const short = { ...kernel, source: minified(kernel.source) };
    expect(short.source.source.length).toBeLessThan(0.6 * kernel.source.source.length);
    const both = [true, false].flatMap((on) => variants({ f16: on, subgroups: on }));
    await Promise.all(
      both.map((variant) => pipelines.get(short, { ...variant, modules: variant.modules.map(minified) })),
    );
  }
  expect(await device.popErrorScope()).toBeNull();
});
