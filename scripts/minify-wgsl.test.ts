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
  expect(stripWgsl("var<workgroup> a: array<vec4<u32>, 4> = b;")).toBe("var<workgroup>a:array<vec4u,4> =b;");
});

test("vectors and matrices go by WGSL's own short names, where there are any", () => {
  expect(stripWgsl("array<vec4<f32>, 2>(vec2<u32>(), mat2x4<f32>(), vec4<elem>(), vec3<bool>())")).toBe(
    "array<vec4f,2>(vec2u(),mat2x4f(),vec4<elem>(),vec3<bool>())",
  );
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

test("what the shaders know of each other gets short names, the same in every file; what TypeScript knows stays", () => {
  const common = "struct Box { side: f32 }\nfn help(box: Box) -> f32 { return max(box.side, 1.0) * f32(WG); }";
  const shader =
    "override WIDTH: u32;\n@group(0) @binding(0) var<uniform> boxes: Box;\nfn main() { boxes.side = help(boxes) + 1e5f; }";
  const names = shortNames([common, shader]);
  expect([...names.module.keys()].sort()).toEqual(["Box", "boxes", "help"]);
  expect([...names.members.keys()]).toEqual(["side"]);
  const [box, help, boxes] = ["Box", "help", "boxes"].map((name) => names.module.get(name));
  const side = names.members.get("side");
  expect(minifyWgsl(common, names)).toBe(
    `struct ${box}{${side}:f32}fn ${help}(e:${box})->f32{return max(e.${side},1.0)*f32(WG);}`,
  );
  expect(minifyWgsl(shader, names)).toBe(
    `override WIDTH:u32;@group(0)@binding(0)var<uniform>${boxes}:${box};` +
      `fn main(){${boxes}.${side}=${help}(${boxes})+1e5f;}`,
  );
});

const minified = (source: string) => minifyWgsl(source, shortNames([source]));

test("names known only inside a function are letters that begin anew in each", () => {
  expect(
    minified(
      "fn main(@builtin(workgroup_id) group: vec3<u32>, lane: u32) { let sum = group.x; var part = sum + lane; }",
    ),
  ).toBe("fn main(@builtin(workgroup_id)e:vec3u,t:u32){let n=e.x;var a=n+t;}");
  expect(minified("fn main() { for (var i = 0u; i < 4u; i++) { const half = 2u; } } fn d(half: f32, i: f32) {}")).toBe(
    "fn main(){for(var e=0u;e<4u;e++){const t=2u;}}fn d(e:f32,t:f32){}",
  );
});

test("a letter is none that the function knows otherwise", () => {
  expect(minified("const e = 1u; fn main(first: u32) { let second = first + e; }")).toBe(
    "const e=1u;fn main(t:u32){let n=t+e;}",
  );
});

test("a member may be called as a local is; a local that hides a module's name goes by that", () => {
  expect(minified("struct Pair { left: u32 } fn main(left: Pair) { let copy = left.left; }")).toBe(
    "struct E{e:u32}fn main(e:E){let t=e.e;}",
  );
  expect(minified("fn total() -> u32 { return 1u; } fn main() { let total = total(); }")).toBe(
    "fn E()->u32{return 1u;}fn main(){let E=E();}",
  );
});

test("a short name is none that a shader has, and swizzles stay", () => {
  const names = shortNames(["fn long_name(E: vec2<f32>) -> f32 { return E.yx.x; }"]);
  expect(names.module.get("long_name")).toBe("T");
  expect(minified("fn main(value: vec2<f32>) { let rg = value.yx.rg; }")).toBe("fn main(e:vec2f){let t=e.yx.rg;}");
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
