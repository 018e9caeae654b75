import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "vite";
import { ROOT } from "../scripts/project.mjs";
import { makeShortModel } from "./short-model";

const FIXTURES = join(ROOT, "e2e/fixtures");
/** Where `withTestPage` finds what is built here. */
export const TEST_PAGES_DIR = join(ROOT, ".cache/test-pages");

/** Paths of pages below TEST_PAGES_DIR. */
export const CLIENTS_PAGE = "e2e/fixtures/openai-clients.html";
export const CLUSTER_PAGE = "examples/cluster/index.html";

/** Builds the pages of e2e/fixtures, and an example, all at once and before all tests: they have most modules in common. */
export default async function buildTestPages(): Promise<void> {
  makeShortModel();
  const fixtures = readdirSync(FIXTURES).filter((name) => name.endsWith(".html"));
  const pages = [...fixtures.map((name) => join(FIXTURES, name)), join(ROOT, CLUSTER_PAGE)];
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
