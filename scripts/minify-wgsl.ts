import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

const SHADERS = fileURLToPath(new URL("../shaders", import.meta.url));

/** Takes comments (WGSL's block comments nest) out of a shader. WGSL has no string literals. */
function stripComments(source: string): string {
  let stripped = "";
  let depth = 0;
  for (let i = 0; i < source.length; ) {
    const pair = source.slice(i, i + 2);
    if (pair === "/*") {
      depth++;
      i += 2;
    } else if (depth > 0) {
      if (pair === "*/") {
        depth--;
        // A block comment separates tokens.
        if (depth === 0) stripped += " ";
        i += 2;
      } else {
        i++;
      }
    } else if (pair === "//") {
      const end = source.indexOf("\n", i);
      i = end === -1 ? source.length : end;
    } else {
      stripped += source[i++];
    }
  }
  return stripped;
}

/** A blank stays only where it separates two words, or two operators that would read as one. */
export function stripWgsl(source: string): string {
  return stripComments(source)
    .trim()
    .replace(/(.?)\s+(?=(.?))/gs, (_, before: string, after: string) =>
      /^(\w\w|[-+*/%&|^<>=!]{2})$/.test(before + after) ? `${before} ` : before,
    )
    .replace(/,([)}\]])/g, "$1");
}

const DECLARED = /\b(?:fn|let|const|struct|var(?:<[\w, ]*>)?)\s+([A-Za-z_]\w*)|\b([A-Za-z_]\w*)\s*:/g;
const WORDS = /@builtin\(\w+\)|@\w+|\b[A-Za-z_]\w*/g;

/**
 * Short names for what the shaders declare. What the common modules name is the same wherever it stands, so that shaders and
 * modules still fit together in any combination; what only shaders name is short in each by itself, since no two of them are
 * compiled together. What TypeScript knows by name (overrides, `main`, a prelude's constants) stays.
 */
export function shortNames(common: readonly string[], shaders: readonly string[]): ReadonlyMap<string, string>[] {
  const all = [...common, ...shaders].map(stripWgsl).join("\n");
  const kept = new Set(["main", "default", ...[...all.matchAll(/\boverride (\w+)/g)].map((match) => match[1])]);
  const declared = new Set([...all.matchAll(DECLARED)].map((match) => match[1] ?? match[2] ?? ""));
  // Names of one or two characters, and swizzles, stay as they are.
  const isLong = (name: string) =>
    declared.has(name) && name.length > 2 && !/^[xyzwrgba]+$/.test(name) && !kept.has(name);
  const shared = namesByUse(common.join("\n")).filter(isLong);
  const own = shaders.map((shader) => namesByUse(shader).filter((name) => isLong(name) && !shared.includes(name)));

  const words = new Set(namesByUse(all));
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  const pairs = letters.flatMap((first) => letters.map((second) => first + second.toUpperCase()));
  const free = [...letters, ...pairs].filter((name) => !words.has(name));
  const numOwn = Math.max(0, ...own.map((names) => names.length));
  const numNames = numOwn + shared.length;
  if (free.length < numNames) throw new Error(`${numNames} WGSL names, ${free.length} short ones`);
  const sharedPairs = shared.map((name, i) => [name, free[numOwn + i]] as const);
  return own.map((names) => new Map([...sharedPairs, ...names.map((name, i) => [name, free[i]] as const)]));
}

/** The names in a shader, those that stand most often first. */
function namesByUse(source: string): string[] {
  const counts = new Map<string, number>();
  for (const [word] of stripWgsl(source).matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([word]) => word);
}

/** A stripped shader with short names. */
export function minifyWgsl(source: string, names: ReadonlyMap<string, string>): string {
  return stripWgsl(source).replace(WORDS, (word) => names.get(word) ?? word);
}

/** All shaders' texts by the paths of their files. */
export function readShaders(): Map<string, string> {
  const files = readdirSync(SHADERS, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".wgsl"));
  return new Map(files.sort().map((file) => [join(SHADERS, file), readFileSync(join(SHADERS, file), "utf8")]));
}

/** All of `sources`, by the paths of their files. */
export function minifyShaders(sources: ReadonlyMap<string, string>): Map<string, string> {
  const isCommon = (file: string) => basename(dirname(file)) === "common";
  const files = [...sources.keys()];
  const common = files.filter(isCommon);
  const shaders = files.filter((file) => !isCommon(file));
  const textOf = (file: string) => sources.get(file) ?? "";
  const [ofCommon, ...ofShaders] = shortNames(common.map(textOf), ["", ...shaders.map(textOf)]);
  const names = new Map(shaders.map((file, i) => [file, ofShaders[i]]));
  return new Map(files.map((file) => [file, minifyWgsl(textOf(file), names.get(file) ?? ofCommon ?? new Map())]));
}

const ALL_SHADERS = "\0virtual:cairn-shaders";

/**
 * Minifies `?raw` imports of .wgsl files. They come from one module at the bundle's start: texts that are alike compress
 * better side by side.
 * For production builds only: what the compiler says of such a shader is hard to read.
 */
export function minifyWgslPlugin(): Plugin {
  const fileOf = (id: string): string => normalize(id.slice(0, -"?raw".length));
  return {
    name: "cairn-minify-wgsl",
    enforce: "pre",
    resolveId: (id) => (id === ALL_SHADERS ? id : null),
    transform(code, id) {
      return this.getModuleInfo(id)?.isEntry ? `import ${JSON.stringify(ALL_SHADERS)};${code}` : null;
    },
    load(id) {
      const shaders = readShaders();
      if (id === ALL_SHADERS) {
        const texts = [...minifyShaders(shaders).values()].map((text) => JSON.stringify(text));
        return `export default [${texts.join(",\n")}];`;
      }
      if (!id.endsWith(".wgsl?raw")) return null;
      this.addWatchFile(fileOf(id));
      const index = [...shaders.keys()].indexOf(fileOf(id));
      return `import shaders from ${JSON.stringify(ALL_SHADERS)}; export default shaders[${index}];`;
    },
  };
}
