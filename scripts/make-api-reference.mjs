// `npm run docs`: writes docs/api.md, every name of the package with its declaration and docstrings.
// --check writes nothing, and fails where the page is not what would be written.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ROOT, runTool } from "./project.mjs";

// TypeScript 7 has no parser for JavaScript to call yet; the package checker brings an older one that has.
const require = createRequire(createRequire(import.meta.url).resolve("@arethetypeswrong/core"));
/** @type {any} */
const ts = require("typescript");

const TYPES_DIR = join(ROOT, ".cache/api-types");
const PAGE = join(ROOT, "docs/api.md");
const INTRODUCTION = `# API reference

Written by \`npm run docs\` from the docstrings in \`src/\`; edit them there. What the package exports, as TypeScript declares it, then the types that
these name. How it all plays together, the [README](../README.md) tells.
`;
/** Title -> modules that index.ts exports from, both in the page's order. */
const SECTIONS = {
  "The engine": ["api/create-engine", "api/cairn-engine", "api/engine-options"],
  "Chats and completions": ["api/completions", "api/completion-stream"],
  "Requests and answers": ["api/openai-types"],
  Sessions: ["api/session"],
  "The KV cache": ["api/kv-cache"],
  "Models that are kept, and what one needs": ["api/cached-models", "api/plan-memory"],
  Errors: ["util/errors"],
};

/** @typedef {{ name: string, node: any, file: any }} Declaration `node` is the statement, `file` the parsed file that holds it */

/** @type {Map<string, any>} */
const parsedFiles = new Map();

/** @param {string} path of a .d.ts file below TYPES_DIR, without its ending */
function parse(path) {
  let file = parsedFiles.get(path);
  if (!file) {
    const text = readFileSync(join(TYPES_DIR, `${path}.d.ts`), "utf8");
    file = ts.createSourceFile(`${path}.d.ts`, text, ts.ScriptTarget.Latest, true);
    parsedFiles.set(path, file);
  }
  return file;
}

/**
 * @param {string} path of the module that names another
 * @param {any} statement an import or export declaration
 * @returns {string | null} null for a package, or where nothing is imported
 */
function targetOf(path, statement) {
  const specifier = statement.moduleSpecifier?.text;
  return specifier?.startsWith(".") ? join(dirname(path), specifier).replaceAll("\\", "/") : null;
}

/**
 * Follows imports and re-exports to where a name is declared.
 * @param {string} path
 * @param {string} name
 * @returns {Declaration | null} null where it is not the project's
 */
function findDeclaration(path, name) {
  const file = parse(path);
  const node = file.statements.find((/** @type {any} */ statement) => statement.name?.text === name);
  if (node) return { name, node, file };
  for (const statement of file.statements) {
    const target = targetOf(path, statement);
    const bindings = statement.importClause?.namedBindings ?? statement.exportClause;
    const found = bindings?.elements?.find((/** @type {any} */ element) => element.name.text === name);
    if (target !== null && found) return findDeclaration(target, (found.propertyName ?? found.name).text);
  }
  return null;
}

/** @returns {Map<string, Declaration[]>} module that the index exports from -> what it exports of it */
function exportsOfIndex() {
  const exports = new Map();
  for (const statement of parse("index").statements) {
    const target = targetOf("index", statement);
    if (target === null || !ts.isExportDeclaration(statement)) throw new Error("index.ts does more than export.");
    const names = statement.exportClause
      ? statement.exportClause.elements.map((/** @type {any} */ element) => element.name.text)
      : exportedNames(target);
    const declarations = names.map((/** @type {string} */ name) => findDeclaration(target, name));
    exports.set(target, [...(exports.get(target) ?? []), ...declarations]);
  }
  return exports;
}

/** @param {string} path */
function exportedNames(path) {
  const isExported = (/** @type {any} */ { modifiers }) =>
    modifiers?.some((/** @type {any} */ { kind }) => kind === ts.SyntaxKind.ExportKeyword);
  return parse(path).statements.flatMap((/** @type {any} */ statement) =>
    isExported(statement) && statement.name ? [statement.name.text] : [],
  );
}

/**
 * The project's types that declarations name and that are not among them, and those that these name, and so on.
 * @param {readonly Declaration[]} exported
 */
function namedTypes(exported) {
  const found = new Map(exported.map((declaration) => [declaration.node, declaration]));
  for (const { node, file } of found.values()) {
    const path = file.fileName.replace(/\.d\.ts$/, "");
    const visit = (/** @type {any} */ child) => {
      if (isHidden(child)) return;
      const named = ts.isTypeReferenceNode(child) && ts.isIdentifier(child.typeName);
      const declaration = named ? findDeclaration(path, child.typeName.text) : null;
      if (declaration) found.set(declaration.node, found.get(declaration.node) ?? declaration);
      ts.forEachChild(child, visit);
    };
    ts.forEachChild(node, visit);
  }
  return [...found.values()].slice(exported.length);
}

/**
 * The engine makes the package's objects; what does that, constructors and static methods, is for it alone.
 * @param {any} node
 */
function isHidden(node) {
  const isStatic = node.modifiers?.some((/** @type {any} */ { kind }) => kind === ts.SyntaxKind.StaticKeyword);
  return isStatic || ts.isConstructorDeclaration(node) || (node.name && ts.isPrivateIdentifier(node.name));
}

/** @param {Declaration} declaration */
function render({ name, node, file }) {
  const [docstring, start] = takeDocstring(node, file);
  let text = "";
  let position = start;
  for (const member of (node.members ?? []).filter(isHidden)) {
    text += file.text.slice(position, member.getFullStart());
    position = member.getEnd();
  }
  text += file.text.slice(position, node.getEnd());
  const code = text
    .replace(/^export (declare )?/, "")
    .replace(/^( {4})+/gm, (indent) => indent.slice(indent.length / 2));
  return `### ${name}\n\n${docstring}\`\`\`ts\n${code}\n\`\`\`\n`;
}

/**
 * @param {any} node
 * @param {any} file
 * @returns {[string, number]} the statement's own comment as a paragraph or nothing, and where its code begins
 */
function takeDocstring(node, file) {
  const comment = node.jsDoc?.at(-1);
  const start = node.getStart(file);
  if (!comment) return ["", start];
  const text = comment.getText(file).slice("/**".length, -"*/".length);
  return [`${text.replace(/^\s*\* ?/gm, "").trim()}\n\n`, start];
}

function makePage() {
  const exports = exportsOfIndex();
  const exported = [...exports.values()].flat();
  const titled = Object.values(SECTIONS).flat();
  for (const module of exports.keys()) {
    if (!titled.some((name) => isIn(module, name))) throw new Error(`No section is for ${module}.`);
  }
  const sections = Object.entries(SECTIONS).map(([title, modules]) => {
    const declarations = modules.flatMap((name) =>
      [...exports].flatMap(([module, list]) => (isIn(module, name) ? list : [])),
    );
    return { title, declarations };
  });
  sections.push({ title: "Types that these name", declarations: namedTypes(exported) });
  const text = sections
    .filter(({ declarations }) => declarations.length > 0)
    .map(({ title, declarations }) => [`## ${title}\n`, ...declarations.map(render)].join("\n"));
  return [INTRODUCTION, ...text].join("\n");
}

/** @param {string} module @param {string} name the module itself, or a folder of it */
function isIn(module, name) {
  return module === name || module.startsWith(`${name}/`);
}

rmSync(TYPES_DIR, { recursive: true, force: true });
const exitCode = await runTool("tsc", ["-p", "tsconfig.build.json", "--outDir", TYPES_DIR]);
if (exitCode !== 0) process.exit(exitCode);
const page = makePage();
if (!process.argv.includes("--check")) writeFileSync(PAGE, page);
else if (readFileSync(PAGE, "utf8") !== page) {
  console.error("docs/api.md is not what the sources say; `npm run docs` writes it.");
  process.exitCode = 1;
}
