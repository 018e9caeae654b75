import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ANNOTATIONS, KEYWORDS } from "../src/sampling/grammar/check-keywords";

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

test("every error has a remedy", () => {
  const section = readme.slice(readme.indexOf("## Errors"), readme.indexOf("## Working on it"));
  const rows = section.split("\n").filter((line) => /^\| `/.test(line));
  const remedies = rows.map((row) =>
    row
      .split(/(?<!\\)\|/)
      .at(-2)
      ?.trim(),
  );
  expect(remedies).not.toContain("");
  expect(remedies.length).toBeGreaterThan(20);
});

test("docs/openai.md explains every field of a request, and no other", () => {
  const types = read("src/api/openai-types.ts");
  const page = read("docs/openai.md");
  const fieldsOf = (name: string): string[] => {
    const body = new RegExp(`interface ${name} [^{]*\\{\\n([\\s\\S]*?)\\n\\}`).exec(types)?.[1] ?? "";
    return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field]) => field ?? "");
  };
  const documentedIn = (from: string, to: string): string[] => {
    const rows = page.slice(page.indexOf(from), page.indexOf(to)).matchAll(/^\| (`[^|]*)\|/gm);
    return [...rows].flatMap(([, names]) => [...(names ?? "").matchAll(/`(\w+)`/g)].map(([, name]) => name ?? ""));
  };
  const both = fieldsOf("GenerationParams");
  expect(both).toContain("temperature");
  expect(documentedIn("Fields of both", "Of chats alone").sort()).toEqual(both.sort());
  expect(documentedIn("Of chats alone", "Of completions alone").sort()).toEqual(
    fieldsOf("ChatCompletionParams").sort(),
  );
  expect(documentedIn("Of completions alone", "Choices of one").sort()).toEqual(fieldsOf("CompletionParams").sort());
});

test("docs/openai.md names every keyword of a schema that is kept to or passes", () => {
  const page = read("docs/openai.md");
  const section = page.slice(page.indexOf("## Structured output"), page.indexOf("## engine.fetch"));
  const named = new Set([...section.matchAll(/`(\$?\w+)`/g)].map(([, name]) => name));
  const keywords = [...Object.keys(KEYWORDS), ...ANNOTATIONS];
  expect(keywords.length).toBeGreaterThan(30);
  expect(keywords.filter((keyword) => !named.has(keyword))).toEqual([]);
});

test("links from the README, docs and examples lead somewhere", () => {
  const pages = [
    "README.md",
    "examples/README.md",
    ...readdirSync(new URL("../docs", import.meta.url)).map((name) => `docs/${name}`),
  ];
  const anchorsOf = (page: string): string[] => {
    const headings = [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading ?? "");
    return headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    );
  };
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)].flatMap(([link, path = "", anchor]) => {
      const target = path === "" ? page : new URL(path, `file:///${page}`).pathname.slice(1);
      const isThere = existsSync(new URL(`../${target}`, import.meta.url));
      const isAnchorThere = anchor === undefined || (isThere && anchorsOf(target).includes(anchor));
      return isThere && isAnchorThere ? [] : [`${page}: ${link}`];
    }),
  );
  expect(broken).toEqual([]);
});

test("the README explains every option of createEngine, and no other", () => {
  const names = /OPTION_NAMES[^=]*=\s*\[([^\]]*)\]/.exec(read("src/api/engine-options.ts"))?.[1] ?? "";
  const options = [...names.matchAll(/"(\w+)"/g)].map((match) => match[1]);
  const section = readme.slice(readme.indexOf("## Options"), readme.indexOf("### Bundlers"));
  const documented = [...section.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1]);
  expect(options).toContain("model");
  expect(documented).toEqual(options);
});
