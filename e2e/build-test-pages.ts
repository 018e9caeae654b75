import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "vite";
import { ROOT } from "../scripts/project.mjs";

const FIXTURES = join(ROOT, "e2e/fixtures");
/** Where `withTestPage` finds what is built here. */
export const TEST_PAGES_DIR = join(ROOT, ".cache/test-pages");

/** Builds the pages of e2e/fixtures that reach into src/, all at once and before all tests: they have most modules in common. */
export default async function buildTestPages(): Promise<void> {
  const pages = readdirSync(FIXTURES)
    .filter((name) => name.endsWith(".html"))
    .map((name) => join(FIXTURES, name))
    .filter((path) => readFileSync(path, "utf8").includes(' src="/src/'));
  await build({
    configFile: false,
    root: ROOT,
    publicDir: false,
    logLevel: "error",
    build: {
      outDir: TEST_PAGES_DIR,
      emptyOutDir: true,
      target: "es2023",
      rolldownOptions: { input: pages },
    },
    worker: { format: "es" },
  });
}
