import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { ROOT } from "./project.mjs";

test("docs/api.md is what the docstrings say (`npm run docs` writes it)", () => {
  const check = () => execFileSync(process.execPath, ["scripts/make-api-reference.mjs", "--check"], { cwd: ROOT });
  expect(check).not.toThrow();
});
