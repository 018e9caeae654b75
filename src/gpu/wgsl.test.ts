import { describe, expect, it } from "vitest";
import { composeWgsl } from "./wgsl";

const MODULES = [
  { name: "common/two.wgsl", source: "// one\n// two" },
  { name: "main.wgsl", source: "// first\n// second\n// third" },
];

describe("composeWgsl", () => {
  it("puts directives first, then aliases and constants, then the modules in their order", () => {
    const prelude = { enables: ["f16", "subgroups"], aliases: { element: "f16" }, constants: { WG: "64u" } };
    expect(composeWgsl(prelude, MODULES).code.split("\n")).toEqual([
      "enable f16;",
      "enable subgroups;",
      "alias element = f16;",
      "const WG = 64u;",
      "// one",
      "// two",
      "// first",
      "// second",
      "// third",
    ]);
  });

  it("maps every line back to its file and line", () => {
    const { locate } = composeWgsl({ enables: ["f16"], constants: { WG: "64u" } }, MODULES);
    expect([1, 2, 3, 4, 5, 7].map(locate)).toEqual([
      { file: "prelude", line: 1 },
      { file: "prelude", line: 2 },
      { file: "common/two.wgsl", line: 1 },
      { file: "common/two.wgsl", line: 2 },
      { file: "main.wgsl", line: 1 },
      { file: "main.wgsl", line: 3 },
    ]);
  });

  it("maps lines to the code's own where the prelude is empty or a file ends in a newline", () => {
    const { code, locate } = composeWgsl({}, [
      { name: "a.wgsl", source: "// a1\n" },
      { name: "b.wgsl", source: "// b1" },
    ]);
    const lines = code.split("\n");
    expect(locate(lines.indexOf("// a1") + 1)).toEqual({ file: "a.wgsl", line: 1 });
    expect(locate(lines.indexOf("// b1") + 1)).toEqual({ file: "b.wgsl", line: 1 });
  });
});
