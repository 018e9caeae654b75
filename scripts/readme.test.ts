import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const readme = read("README.md");

test("the README's example is the one that the packaging tests run", () => {
  expect(readme).toContain(`\`\`\`js\n${read("examples/vanilla/main.js")}\`\`\`\n`);
});

test("the README explains every error code, and no other", () => {
  const codes = [...read("src/util/errors.ts").matchAll(/^ {2}\| "(\w+)"/gm)].map((match) => match[1]);
  const section = readme.slice(readme.indexOf("## Errors"), readme.indexOf("## Working on it"));
  const documented = [...section.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1]);
  expect(codes).toContain("invalid_request");
  expect(documented).toEqual(codes);
});

test("the README explains every option of createEngine, and no other", () => {
  const names = /OPTION_NAMES[^=]*=\s*\[([^\]]*)\]/.exec(read("src/api/engine-options.ts"))?.[1] ?? "";
  const options = [...names.matchAll(/"(\w+)"/g)].map((match) => match[1]);
  const section = readme.slice(readme.indexOf("## Options"), readme.indexOf("### Bundlers"));
  const documented = [...section.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1]);
  expect(options).toContain("model");
  expect(documented).toEqual(options);
});
