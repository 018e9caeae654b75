import { readdirSync, readFileSync } from "node:fs";
import { join, normalize } from "node:path";
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
 * Short names for what the shaders declare, one for a name wherever it stands, so that shaders and common modules still
 * fit together in any combination. What TypeScript knows by name (overrides, `main`, a prelude's constants) keeps it.
 */
export function shortNames(sources: readonly string[]): ReadonlyMap<string, string> {
  const text = sources.map(stripWgsl).join("\n");
  const kept = new Set(["main", "default", ...[...text.matchAll(/\boverride (\w+)/g)].map((match) => match[1])]);
  const words = new Set([...text.matchAll(WORDS)].map(([word]) => word));
  const declared = new Set([...text.matchAll(DECLARED)].map((match) => match[1] ?? match[2] ?? ""));
  // Names of one or two characters, and swizzles, stay as they are.
  const long = [...declared].filter((name) => name.length > 2 && !/^[xyzwrgba]+$/.test(name) && !kept.has(name));
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  const pairs = letters.flatMap((first) => letters.map((second) => first + second.toUpperCase()));
  const free = [...letters, ...pairs].filter((name) => !words.has(name));
  if (free.length < long.length) throw new Error(`${long.length} WGSL names, ${free.length} short ones`);
  return new Map(long.map((name, i) => [name, free[i]]));
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
        const names = shortNames([...shaders.values()]);
        const texts = [...shaders.values()].map((source) => JSON.stringify(minifyWgsl(source, names)));
        return `export default [${texts.join(",\n")}];`;
      }
      if (!id.endsWith(".wgsl?raw")) return null;
      this.addWatchFile(fileOf(id));
      const index = [...shaders.keys()].indexOf(fileOf(id));
      return `import shaders from ${JSON.stringify(ALL_SHADERS)}; export default shaders[${index}];`;
    },
  };
}
