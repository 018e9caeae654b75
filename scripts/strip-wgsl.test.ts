import { expect, test } from "vitest";
import { stripWgsl } from "./strip-wgsl";

test("line comments, trailing blanks and blank lines go; indentation stays", () => {
  expect(stripWgsl("// head\n\nfn main() {  // why\n  let a = 1 / 2;\n\n}\n")).toBe("fn main() {\n  let a = 1 / 2;\n}");
});

test("block comments nest and separate tokens", () => {
  expect(stripWgsl("let/* a /* b */ c */x = 1;")).toBe("let x = 1;");
  expect(stripWgsl("a /* one\ntwo */ b")).toBe("a\n  b");
});

test("comment marks inside the other kind of comment mean nothing", () => {
  expect(stripWgsl("a; // not /* open\nb;")).toBe("a;\nb;");
  expect(stripWgsl("a; /* // */ b;")).toBe("a;   b;");
});

test("a line comment without a line end is taken to the end of the file", () => {
  expect(stripWgsl("a; // tail")).toBe("a;");
});
