import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { parseSync } from "vite";

/** One import of a module, in any form: static, `export from`, dynamic, or a type's `import("...")`. */
export interface SourceImport {
  /** As written. */
  readonly specifier: string;
  /** Erased by the compiler: it orders nothing at run time. */
  readonly typeOnly: boolean;
}

export interface SourceModule {
  /** Relative to src/, with `/` and without `.ts`: `kv/block-pool`. */
  readonly path: string;
  readonly imports: readonly SourceImport[];
  /** The text with comments blanked out. */
  readonly code: string;
}

/** All TypeScript modules below `srcDir`; declarations (.d.ts) are none. */
export function readModules(srcDir: string): SourceModule[] {
  return readdirSync(srcDir, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
    .map((file) =>
      parseModule(file.replaceAll(sep, "/").slice(0, -".ts".length), readFileSync(join(srcDir, file), "utf8")),
    )
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Throws where the text does not parse or a dynamic import's argument is not a literal. */
export function parseModule(path: string, text: string): SourceModule {
  const { program, comments, errors } = parseSync(`${path}.ts`, text);
  if (errors.length > 0) throw new Error(`${path}.ts: ${errors[0]?.message}`);
  let code = text;
  for (const { start, end } of comments) code = code.slice(0, start) + " ".repeat(end - start) + code.slice(end);
  return { path, imports: findImports(program as unknown as AstNode, path), code };
}

/**
 * What an import leads to, in the form of `SourceModule.path`; paths outside src start with `../`, and keep their extension.
 * Null for packages and virtual modules.
 */
export function resolveImport(from: string, specifier: string): string | null {
  if (!specifier.startsWith(".")) return null;
  const [path = ""] = specifier.split("?");
  return relative("/src", resolve("/src", dirname(from), path)).replaceAll(sep, "/");
}

/** The names that a module's static imports take, by specifier; as they are called where they come from. Types are none. */
export function importedNames(path: string, text: string): Record<string, string[]> {
  const names: Record<string, string[]> = {};
  for (const statement of parseSync(path, text).program.body) {
    if (statement.type !== "ImportDeclaration" || statement.importKind === "type") continue;
    names[statement.source.value] = statement.specifiers.flatMap((specifier) => {
      if (specifier.type !== "ImportSpecifier" || specifier.importKind === "type") return [];
      return specifier.imported.type === "Identifier" ? [specifier.imported.name] : [];
    });
  }
  return names;
}

interface AstNode {
  readonly type: string;
  readonly [field: string]: unknown;
}

function findImports(node: AstNode, path: string): SourceImport[] {
  const found = importOf(node, path);
  const children = Object.values(node).flat().filter(isNode);
  return [...(found ? [found] : []), ...children.flatMap((child) => findImports(child, path))];
}

function importOf(node: AstNode, path: string): SourceImport | null {
  switch (node.type) {
    case "ImportDeclaration":
      return { specifier: literal(node.source, path), typeOnly: node.importKind === "type" };
    case "ExportAllDeclaration":
    case "ExportNamedDeclaration":
      return node.source ? { specifier: literal(node.source, path), typeOnly: node.exportKind === "type" } : null;
    case "ImportExpression":
      // What lies in a blob is no file.
      if (isNode(node.source) && node.source.name === "blobUrl") return null;
      return { specifier: literal(node.source, path), typeOnly: false };
    case "TSImportType":
      return { specifier: literal(node.source, path), typeOnly: true };
    default:
      return null;
  }
}

function literal(node: unknown, path: string): string {
  if (isNode(node) && typeof node.value === "string") return node.value;
  throw new Error(`${path}.ts imports something that is not written as a string`);
}

function isNode(value: unknown): value is AstNode {
  return typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
}
