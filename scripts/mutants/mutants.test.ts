import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { MUTANTS } from "./list.mjs";

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");

test.each(MUTANTS)("$name: its line is there, once, and is changed; its test file exists", (mutant) => {
  expect(read(mutant.file).split(mutant.find)).toHaveLength(2);
  expect(mutant.replace).not.toBe(mutant.find);
  expect(existsSync(fileURLToPath(new URL(`../../${mutant.testFile}`, import.meta.url)))).toBe(true);
});

test("every mutant has a name of its own", () => {
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
});
