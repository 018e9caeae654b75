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
    .replace(/,([)}\]])/g, "$1")
    .replace(/\b(vec\d|mat\dx\d)<([fiu])32>/g, "$1$2");
}

const WORDS = /@builtin\(\w+\)|@\w+|\b[A-Za-z_]\w*/g;
/** In stripped text, outside functions and inside. */
const MODULE_NAME = /\b(?:fn |const |struct |var(?:<[\w,]*>| ))(\w+)/g;
const MEMBER = /[{,)](\w+):/g;
const LOCAL_NAME = /\b(?:let |const |var )(\w+)|[(,)](\w+):/g;

/** Those that are frequent elsewhere in the script first: they compress best. */
const LETTERS = [..."etnairsolucdfpmhgvbyxwkqjz"];
const PAIRS = LETTERS.flatMap((first) => LETTERS.map((second) => first + second.toUpperCase()));

/** Short names for what all shaders know of each other: the same in every file, so that any of them still fit together. */
export interface ShortNames {
  readonly module: ReadonlyMap<string, string>;
  readonly members: ReadonlyMap<string, string>;
}

/** What TypeScript knows by name (overrides, `main`, a prelude's constants) keeps it. */
export function shortNames(sources: readonly string[]): ShortNames {
  const texts = sources.map(stripWgsl);
  const outside = texts.flatMap((text) =>
    splitFunctions(text).map((part, i) => (i % 2 ? `${part.split("(")[0]};` : part)),
  );
  const words = new Set(texts.flatMap((text) => text.match(WORDS)));
  const namesOf = (declaration: RegExp, short: readonly string[]) => {
    const names = new Set(outside.flatMap((text) => [...text.matchAll(declaration)].map(([, name]) => name)));
    // Names of one or two characters, and swizzles, stay as they are.
    const long = [...names].filter((name) => name.length > 2 && !/^[xyzwrgba]+$/.test(name) && name !== "main");
    const free = short.filter((name) => !words.has(name));
    if (free.length < long.length) throw new Error(`${long.length} WGSL names, ${free.length} short ones`);
    return new Map(long.map((name, i) => [name, free[i]]));
  };
  return {
    module: namesOf(MODULE_NAME, [...LETTERS.map((letter) => letter.toUpperCase()), ...PAIRS]),
    members: namesOf(MEMBER, [...LETTERS, ...PAIRS]),
  };
}

/** A stripped shader with short names; those known only inside one function are letters that begin anew in each. */
export function minifyWgsl(source: string, names: ShortNames): string {
  return splitFunctions(stripWgsl(source))
    .map((text, i) => rename(text, i % 2 ? localNames(text, names) : new Map(), names))
    .join("");
}

/** What stands between functions, at even indices, and the functions, from `fn` to the last brace. */
function splitFunctions(stripped: string): string[] {
  const parts: string[] = [];
  let end = 0;
  for (const { index } of stripped.matchAll(/\bfn /g)) {
    parts.push(stripped.slice(end, index));
    end = stripped.indexOf("{", index) + 1;
    for (let depth = 1; depth > 0; end++) {
      if (end === stripped.length) throw new Error(`a brace is missing after ${stripped.slice(index, index + 40)}`);
      depth += { "{": 1, "}": -1 }[stripped[end]] ?? 0;
    }
    parts.push(stripped.slice(index, end));
  }
  return [...parts, stripped.slice(end)];
}

function localNames(text: string, { module }: ShortNames): Map<string, string> {
  const declared = new Set([...text.matchAll(LOCAL_NAME)].map(([, name, param]) => name ?? param));
  // What hides a name of the module may stand beside it, so it stays the same everywhere.
  const locals = [...declared].filter((name) => !module.has(name));
  const others = new Set<string>();
  for (const [word] of text.matchAll(WORDS)) if (!declared.has(word)) others.add(module.get(word) ?? word);
  const free = [...LETTERS, ...PAIRS].filter((name) => !others.has(name));
  return new Map(locals.map((name, i) => [name, free[i]]));
}

function rename(text: string, locals: ReadonlyMap<string, string>, { module, members }: ShortNames): string {
  return text.replace(WORDS, (word, offset: number) => {
    const before = text[offset - 1] ?? "";
    const isMember =
      before === "." || (locals.size === 0 && text[offset + word.length] === ":" && /[{,)]/.test(before));
    return (isMember ? members.get(word) : (locals.get(word) ?? module.get(word))) ?? word;
  });
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
        return texts.map((text, i) => `export const shader${i}=${text};`).join("\n");
      }
      if (!id.endsWith(".wgsl?raw")) return null;
      this.addWatchFile(fileOf(id));
      const index = [...shaders.keys()].indexOf(fileOf(id));
      return `export { shader${index} as default } from ${JSON.stringify(ALL_SHADERS)};`;
    },
  };
}
