import { defineConfig } from "vite";
import { minifyWgslPlugin } from "./scripts/minify-wgsl.ts";
import { workerSource } from "./scripts/worker-source-plugin.ts";

/** The chat page. Paths are relative, so that it can be served from any folder. */
export default defineConfig(({ command }) => ({
  base: "./",
  plugins: [workerSource(), ...(command === "build" ? [minifyWgslPlugin()] : [])],
  build: {
    outDir: "dist-page",
    target: "es2022",
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["index.html", "bench.html"] },
  },
}));
