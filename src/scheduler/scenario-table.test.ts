import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseSync } from "vite";
import { describe, expect, test } from "vitest";

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** The notes on vLLM that the table answers; they are no part of the repository. */
const NOTES = pathOf("../../../shared/reference/kv-offload.md");
const hasNotes = existsSync(NOTES);
if (!hasNotes) console.warn("SKIPPED: is every scenario in docs/scenarios.md? (no ../shared/reference/kv-offload.md)");

interface Row {
  /** vLLM's test file, or what stands above the table in its place. */
  readonly file: string;
  readonly scenario: string;
  /** Tests here, or a reason, or both. */
  readonly answer: string;
}

/** A table belongs to the heading above it. */
function readRows(markdown: string): Row[] {
  let file = "";
  return markdown.split("\n").flatMap((line) => {
    if (line.startsWith("#")) file = line.replace(/^#+ /, "").replaceAll("`", "");
    if (!/^\| (?!scenario +\||---)/.test(line)) return [];
    const [, scenario = "", answer = ""] = line.split(/(?<!\\)\|/).map((cell) => cell.replaceAll("\\|", "|").trim());
    return [{ file, scenario, answer }];
  });
}

const rows = readRows(readFileSync(pathOf("../../docs/scenarios.md"), "utf8"));

/** Each `path "title"` of an answer. */
function namedTests({ answer }: Row): { path: string; title: string }[] {
  return [...answer.matchAll(/`([^`]+\.test\.ts)` "([^"]+)"/g)].map(([, path, title]) => ({ path, title }));
}

interface AstNode {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Titles of `test(...)` and `it(...)`, and of their `.each(...)(...)`; placeholders as they are written. */
function testTitles(node: AstNode): string[] {
  const [title] = (node.arguments ?? []) as AstNode[];
  const own = isTestCall(node) && title?.type === "Literal" ? [String(title.value)] : [];
  const children = Object.values(node).flat().filter(isNode);
  return [...own, ...children.flatMap(testTitles)];
}

function isTestCall({ type, callee }: AstNode): boolean {
  if (type !== "CallExpression" || !isNode(callee)) return false;
  const each = callee.type === "CallExpression" && isNode(callee.callee) ? callee.callee : null;
  const isEach = each?.type === "MemberExpression" && isNode(each.property) && each.property.name === "each";
  const name = isEach ? (each.object as AstNode).name : callee.name;
  return name === "test" || name === "it";
}

function isNode(value: unknown): value is AstNode {
  return typeof value === "object" && value !== null && typeof (value as AstNode).type === "string";
}

function titlesIn(path: string): string[] {
  const { program, errors } = parseSync(path, readFileSync(pathOf(`../${path}`), "utf8"));
  expect(errors, path).toEqual([]);
  return testTitles(program as unknown as AstNode);
}

describe("docs/scenarios.md", () => {
  test("every row has a file, a scenario of its own, and a test or a reason", () => {
    expect(rows.length).toBeGreaterThan(150);
    const names = rows.map(({ file, scenario }) => `${file}: ${scenario}`);
    expect(names.filter((name, i) => names.indexOf(name) < i)).toEqual([]);
    const empty = rows.filter(
      (row) => !row.file || !row.scenario || (!namedTests(row).length && row.answer.length < 20),
    );
    expect(empty).toEqual([]);
  });

  test("every test that is named exists in the file that is named, once", () => {
    const titles = new Map<string, string[]>();
    const wrong = rows.flatMap(namedTests).filter(({ path, title }) => {
      if (!titles.has(path)) titles.set(path, titlesIn(path));
      return titles.get(path)?.filter((found) => found === title).length !== 1;
    });
    expect(wrong).toEqual([]);
    expect(titles.size).toBeGreaterThan(5);
    // No file is mentioned that the pattern above does not find.
    const mentioned = rows.flatMap(({ answer }) => answer.match(/\.test\.ts/g) ?? []);
    expect(mentioned).toHaveLength(rows.flatMap(namedTests).length);
  });
});

/** Sections of the notes that the page answers. */
const SECTIONS = ["3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7"];
/** A section whose files are named by their lists, without a path. */
const TIERS = "3.5";
/** Scenarios that are no test of vLLM's, and those that are no part of the notes: headings of the page. */
const BEYOND = "Beyond vLLM's tests";
const REPORTED = "Reported since";

/** What the notes say of each of vLLM's files, named by its folder and name as far as they give them. */
function readNotes(notes: string): Map<string, string> {
  const texts = new Map<string, string>();
  for (const section of notes.split("\n### ")) {
    if (!SECTIONS.some((number) => section.startsWith(`${number} `))) continue;
    const [text] = section.split("\n---\n");
    if (section.startsWith(`${TIERS} `)) {
      for (const [, name, list] of text.matchAll(/^- (test_\w+): (.*)$/gm)) texts.set(`tiering/${name}.py`, list);
      continue;
    }
    const parts = text.split(/`([^`\s]+\.py)(?:::(\w+))?`/);
    if (parts.length === 1) texts.set(BEYOND, text.slice(text.indexOf("\n")));
    for (let i = 1; i < parts.length; i += 3) {
      const file = parts[i].split("/").slice(-2).join("/");
      if (texts.has(file)) throw new Error(`two lists for ${file}`);
      texts.set(file, `${parts[i + 1] ?? ""}${parts[i + 2]}`);
    }
  }
  return texts;
}

/** Words that introduce scenarios and are none. */
const LABELS = /^(?:\d\. |Core:|Fence:|Groups \/ windows:|Lookup units -|Events:)/gm;

/** What the notes say of a file; blanked out where one of `scenarios` stands, longest first. */
function restOf(text: string, scenarios: readonly string[]): string {
  let rest = text.replaceAll(LABELS, "");
  for (const scenario of scenarios.toSorted((a, b) => b.length - a.length)) rest = rest.replace(scenario, "");
  // What is in parentheses or behind an arrow explains the scenario before it.
  return rest.replaceAll(/\([^()]*\)/g, "").replaceAll(/->[^;.]*/g, "");
}

describe.skipIf(!hasNotes)("against the notes on vLLM", () => {
  const texts = hasNotes ? readNotes(readFileSync(NOTES, "utf8")) : new Map<string, string>();
  const answered = rows.filter(({ file }) => file !== REPORTED);
  /** Of files that the notes name without a list. */
  const isWholeFile = (scenario: string) => scenario.startsWith("the whole file");
  const scenariosOf = (file: string) => answered.flatMap((row) => (row.file === file ? row.scenario : []));

  test("every file has its rows, and every row its place", () => {
    expect([...texts.keys()].filter((file) => scenariosOf(file).length === 0)).toEqual([]);
    const invented = answered.filter(({ file, scenario }) => {
      const text = texts.get(file);
      return text === undefined || !(isWholeFile(scenario) || text.includes(scenario));
    });
    expect(invented).toEqual([]);
  });

  test("nothing that the notes name is missing", () => {
    const missing = [...texts].flatMap(([file, text]) => {
      const rest = restOf(text, scenariosOf(file));
      return /[A-Za-z0-9]/.test(rest) ? [`${file}: ${rest.trim()}`] : [];
    });
    expect(missing).toEqual([]);
    expect(texts.size).toBe(24);
  });

  test("a row that is left out would be noticed", () => {
    for (const { file, scenario } of answered) {
      if (isWholeFile(scenario)) continue;
      const others = scenariosOf(file).filter((other) => other !== scenario);
      expect(restOf(texts.get(file) ?? "", others), scenario).toMatch(/[A-Za-z0-9]/);
    }
  });
});
