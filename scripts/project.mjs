import { spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root, without a slash at the end. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/[\\/]$/, "");

/** Entry files of the tools, started with this Node: the same on every system, and no shell in between. */
const TOOLS = {
  biome: "@biomejs/biome/bin/biome",
  playwright: "@playwright/test/cli.js",
  tsc: "typescript/bin/tsc",
  vite: "vite/bin/vite.js",
  vitest: "vitest/vitest.mjs",
};

/**
 * Runs a tool in the repository's root with its output on ours; resolves to the exit code.
 * @param {keyof typeof TOOLS} tool
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env] added to this process's environment
 * @returns {Promise<number>}
 */
export function runTool(tool, args, env = {}) {
  return runNode([join("node_modules", TOOLS[tool]), ...args], env);
}

/**
 * Runs Node in the repository's root with its output on ours; resolves to the exit code.
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env] added to this process's environment
 * @returns {Promise<number>}
 */
export function runNode(args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: "inherit", env: { ...process.env, ...env } });
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/** What a build is made from; tests and documents do not count. */
const SOURCES = [
  "index.html",
  "bench.html",
  "package.json",
  "package-lock.json",
  "public",
  "scripts",
  "shaders",
  "src",
  "tsconfig.json",
  "tsconfig.build.json",
  "vite.config.ts",
  "vite.lib.config.ts",
];

/**
 * Whether a build output is missing or older than a source of it.
 * @param {string} marker a file that every build writes, relative to the root
 */
export function isStale(marker) {
  const path = join(ROOT, marker);
  if (!existsSync(path)) return true;
  const builtMs = statSync(path).mtimeMs;
  return SOURCES.some((source) => existsSync(join(ROOT, source)) && newestMs(join(ROOT, source)) > builtMs);
}

/**
 * The last change below a path, in milliseconds since 1970.
 * @param {string} path
 * @returns {number}
 */
function newestMs(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  const children = readdirSync(path).filter((name) => !name.includes(".test"));
  return Math.max(0, ...children.map((name) => newestMs(join(path, name))));
}
