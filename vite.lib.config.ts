import { defineConfig } from "vite";
import { thirdPartyLicenses } from "./scripts/third-party-licenses-plugin.ts";
import { workerSource } from "./scripts/worker-source-plugin.ts";

const licenses = thirdPartyLicenses("THIRD_PARTY_LICENSES");

/** The npm package: the main thread's module, a lazy chunk with the worker's text, and the same text as a file. */
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
        chunkFileNames: ({ name }) =>
          `${name.replace("_virtual_cairn-", "").replace("openai-server", "part-fetch")}.js`,
        entryFileNames: "[name].js",
        minify: true,
      },
    },
  },
});
