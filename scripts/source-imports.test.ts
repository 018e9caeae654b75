import { expect, test } from "vitest";
import { importedNames, parseModule, resolveImport } from "./source-imports";

test("every form of import is found, types apart", () => {
  const { imports } = parseModule(
    "api/x",
    `import type { A } from "./a";
     import { type B } from "./b";
     import "./c";
     export * from "./d";
     export type { E } from "./e";
     const f = async () => import("./f");
     let g: import("./g").G;
     import source from "../shaders/h.wgsl?raw";
     // import "./comment";
     const text = 'import "./text"';`,
  );
  expect(imports).toEqual([
    { specifier: "./a", typeOnly: true },
    { specifier: "./b", typeOnly: false },
    { specifier: "./c", typeOnly: false },
    { specifier: "./d", typeOnly: false },
    { specifier: "./e", typeOnly: true },
    { specifier: "./f", typeOnly: false },
    { specifier: "./g", typeOnly: true },
    { specifier: "../shaders/h.wgsl?raw", typeOnly: false },
  ]);
});

test("the names that imports take, types apart", () => {
  const text = `import { a, type B, c as d } from "./a"; import type { E } from "./e"; import "./f"; a(d);`;
  expect(importedNames("x.ts", text)).toEqual({ "./a": ["a", "c"], "./f": [] });
});

test("comments are blanked out of the code", () => {
  expect(parseModule("x", "let a = 1; // GPUBuffer\nlet b = 2;").code).toBe("let a = 1;             \nlet b = 2;");
});

test("an import that is computed is refused", () => {
  expect(() => parseModule("x", "import(name)")).toThrow("x.ts imports something that is not written as a string");
});

test.each([
  ["api/x", "./a", "api/a"],
  ["api/x", "../kv/block", "kv/block"],
  ["api/deep/x", "../../index", "index"],
  ["kernels/x", "../../shaders/h.wgsl?raw", "../shaders/h.wgsl"],
  ["api/x", "comlink", null],
  ["api/x", "virtual:cairn-worker-source", null],
])("from %s, %s is %s", (from, specifier, path) => {
  expect(resolveImport(from, specifier)).toBe(path);
});
