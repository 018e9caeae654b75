// `npm run budget`: what a page that uses the package loads, and the longest source file. Fails where a limit is passed.
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { ROOT, runNode } from "./project.mjs";

const MAIN_LIMIT_BYTES = 20_000;
const DEFAULT_LIMIT_BYTES = 100_000;
const PART_LIMIT_BYTES = 6_000;
/** @type {Readonly<Record<string, number>>} Other limits than that. Storage is loaded beside the weights unless it is switched off. */
const PART_LIMITS_BYTES = { "part-chat": 7_000, "part-grammar": 430_000, "part-storage": 19_500 };
const LINES_LIMIT = 400;

const code = await runNode(["scripts/build.mjs", "--library", "--if-stale"]);
if (code !== 0) process.exit(code);

const entry = join(ROOT, "dist/index.js");
// Loaded where it is needed, not by default: the self-test once a device and package version, others where they are asked for.
const parts = readdirSync(join(ROOT, "dist")).filter((file) => /^part-.*\.js$/.test(file));
const partPaths = new Set(parts.map((file) => join(ROOT, "dist", file)));
const longest = longestSourceFile();
const rows = [
  {
    what: "main thread, gzip bytes",
    value: gzipBytes(loadedModules(entry, { lazy: false })),
    limit: MAIN_LIMIT_BYTES,
  },
  {
    what: "all loaded by default, gzip bytes",
    value: gzipBytes([...loadedModules(entry, { lazy: true })].filter((file) => !partPaths.has(file))),
    limit: DEFAULT_LIMIT_BYTES,
  },
  ...[...partPaths].map((file) => ({
    what: `${basename(file, ".js")}, loaded where it is needed, gzip bytes`,
    value: gzipBytes([file]),
    limit: PART_LIMITS_BYTES[basename(file, ".js")] ?? PART_LIMIT_BYTES,
  })),
  { what: `longest source file, lines (${longest.file})`, value: longest.numLines, limit: LINES_LIMIT },
];
console.table(rows.map((row) => ({ ...row, verdict: row.value < row.limit ? "ok" : "OVER" })));
process.exitCode = rows.every((row) => row.value < row.limit) ? 0 : 1;

/**
 * A built module and all that it imports; lazily imported chunks too where `lazy` is set.
 * @param {string} file
 * @param {{ lazy: boolean }} options
 * @param {Set<string>} [seen]
 */
function loadedModules(file, { lazy }, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(file, "utf8");
  const staticImports = text.matchAll(/(?:\bfrom|\bimport)\s*["'`](\.[^"'`]+)["'`]/g);
  const lazyImports = lazy ? text.matchAll(/\bimport\(\s*["'`](\.[^"'`]+)["'`]\s*\)/g) : [];
  for (const [, specifier] of [...staticImports, ...lazyImports]) {
    if (specifier) loadedModules(join(dirname(file), specifier), { lazy }, seen);
  }
  return seen;
}

/** @param {Iterable<string>} files each compressed by itself, as a server sends them */
function gzipBytes(files) {
  return [...files].reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);
}

function longestSourceFile() {
  const files = ["src", "shaders"].flatMap((dir) =>
    readdirSync(join(ROOT, dir), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|wgsl)$/.test(entry.name) && !entry.name.endsWith(".test.ts"))
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name)),
  );
  const sized = files.map((path) => ({
    file: relative(ROOT, path),
    numLines: readFileSync(path, "utf8").split("\n").length - 1,
  }));
  return sized.reduce((a, b) => (b.numLines > a.numLines ? b : a));
}
