import { readdirSync } from "node:fs";
import { defineConfig } from "vite";

const dir = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const pages = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory());

/** Every folder here is a page. They import "cairn-llm" as any project does, and get this repository's build of it. */
export default defineConfig({
  root: dir,
  publicDir: "../public",
  cacheDir: "../.cache/vite-examples",
  build: {
    outDir: "../.cache/examples",
    emptyOutDir: true,
    target: "es2022",
    // What is large here is the AI SDK.
    chunkSizeWarningLimit: 3_000,
    rolldownOptions: {
      input: ["index.html", ...pages.map(({ name }) => `${name}/index.html`)].map((page) => `${dir}/${page}`),
    },
  },
});
