// Builds the chat page (dist-page) and the npm package (dist).
// --if-stale leaves alone what is newer than its sources; --page or --library builds only the one.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isStale, ROOT, runTool } from "./project.mjs";

const PAGE_MARKER = "dist-page/index.html";
const LIBRARY_MARKER = "dist/types/index.d.ts";
const WORKER_SCRIPT_TYPES =
  "/** The engine's worker, to be served where `workerUrl` says; no module to import. */\nexport {};\n";

const args = new Set(process.argv.slice(2));
const wants = (/** @type {string} */ flag, /** @type {string} */ marker) =>
  (args.has(flag) || !(args.has("--page") || args.has("--library"))) && (!args.has("--if-stale") || isStale(marker));

if (wants("--page", PAGE_MARKER)) await must(runTool("vite", ["build", "--logLevel", "warn"]));
if (wants("--library", LIBRARY_MARKER)) {
  await must(runTool("vite", ["build", "--config", "vite.lib.config.ts", "--logLevel", "warn"]));
  rmSync(join(ROOT, "dist/types"), { recursive: true, force: true });
  await must(runTool("tsc", ["-p", "tsconfig.build.json"]));
  finishDeclarations(join(ROOT, "dist/types"));
  writeFileSync(join(ROOT, "dist/types/worker-script.d.ts"), WORKER_SCRIPT_TYPES);
}

async function must(/** @type {Promise<number>} */ exitCode) {
  const code = await exitCode;
  if (code !== 0) process.exit(code);
}

/**
 * Relative imports get their `.js`, so that they also resolve under `moduleResolution: nodenext`; the entry names the one
 * library beyond ES2023 that it needs, so that the reader's tsconfig need not.
 * @param {string} dir
 */
function finishDeclarations(dir) {
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath ?? entry.path, entry.name);
    const text = readFileSync(file, "utf8");
    const head = file === join(dir, "index.d.ts") ? '/// <reference lib="esnext.disposable" />\n' : "";
    writeFileSync(file, head + text.replace(/(from |import\(|import )"(\.{1,2}\/[^"]+)"/g, '$1"$2.js"'));
  }
}
