import { defineConfig } from "vite";
import { thirdPartyLicenses } from "./scripts/third-party-licenses-plugin.ts";
import { workerSource } from "./scripts/worker-source-plugin.ts";

const licenses = thirdPartyLicenses("THIRD_PARTY_LICENSES");

/**
 * The npm package: the main thread's module, a lazy chunk with the worker's text, and the same text as a file. Other lazy
 * chunks are parts that a plain answer does not need.
 */
export default defineConfig({
  publicDir: false,
  plugins: [workerSource({ emitFile: "worker.js", plugins: [licenses.collect] }), licenses.emit],
  build: {
    outDir: "dist",
    target: "es2022",
    minify: true,
    lib: { entry: "src/index.ts", formats: ["es"], fileName: "index" },
    rolldownOptions: {
      output: {
        chunkFileNames: ({ name, isDynamicEntry }) => {
          const own = name.replace(/^_virtual_cairn-(part-)?/, "");
          return `${isDynamicEntry && own !== "worker-source" ? "part-" : ""}${own}.js`;
        },
        entryFileNames: "[name].js",
        minify: true,
      },
    },
  },
});
