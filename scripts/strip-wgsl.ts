import { readFile } from "node:fs/promises";
import type { Plugin } from "vite";

/** Takes comments (WGSL's block comments nest), trailing blanks and blank lines out of a shader. WGSL has no string literals. */
export function stripWgsl(source: string): string {
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
        if (source[i] === "\n") stripped += "\n";
        i++;
      }
    } else if (pair === "//") {
      const end = source.indexOf("\n", i);
      i = end === -1 ? source.length : end;
    } else {
      stripped += source[i++];
    }
  }
  const lines = stripped.split("\n").map((line) => line.trimEnd());
  return lines.filter((line) => line !== "").join("\n");
}

/** Strips `?raw` imports of .wgsl files. For production builds only: a stripped shader's line numbers are not the file's. */
export function stripWgslPlugin(): Plugin {
  return {
    name: "cairn-strip-wgsl",
    enforce: "pre",
    async load(id) {
      if (!id.endsWith(".wgsl?raw")) return null;
      const file = id.slice(0, -"?raw".length);
      this.addWatchFile(file);
      return `export default ${JSON.stringify(stripWgsl(await readFile(file, "utf8")))};`;
    },
  };
}
