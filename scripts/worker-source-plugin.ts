import { fileURLToPath } from "node:url";
import type { Plugin, Rolldown } from "vite";
import { build } from "vite";
import { minifyWgslPlugin } from "./minify-wgsl.ts";

const VIRTUAL_ID = "virtual:cairn-worker-source";
const RESOLVED_ID = `\0${VIRTUAL_ID}`;
const ENTRY = fileURLToPath(new URL("../src/worker/engine-worker.ts", import.meta.url));

export interface WorkerSourceOptions {
  /** Also write the worker's text as this file of the output, for `workerUrl`. */
  readonly emitFile?: string;
  /** Plugins of the nested build, such as the one that collects licences. */
  readonly plugins?: readonly Plugin[];
}

/**
 * `import source from "virtual:cairn-worker-source"`: the engine worker with all it imports as the text of one classic script,
 * which also runs as a module. Made by a nested build, so that every bundler that later sees the package sees only a string.
 */
export function workerSource(options: WorkerSourceOptions = {}): Plugin {
  let isProduction = false;
  let emitted: string | null = null;
  return {
    name: "cairn-worker-source",
    configResolved(config) {
      isProduction = config.command === "build";
    },
    resolveId(id) {
      return id === VIRTUAL_ID ? RESOLVED_ID : null;
    },
    async load(id) {
      if (id !== RESOLVED_ID) return null;
      const chunk = await buildWorker(isProduction, options.plugins ?? []);
      for (const moduleId of chunk.moduleIds) {
        const file = moduleId.split("?")[0] ?? "";
        if (!file.startsWith("\0")) this.addWatchFile(file);
      }
      emitted = chunk.code;
      return `export default ${JSON.stringify(chunk.code)};`;
    },
    generateBundle() {
      if (options.emitFile && emitted !== null) {
        this.emitFile({ type: "asset", fileName: options.emitFile, source: emitted });
      }
    },
  };
}

async function buildWorker(isProduction: boolean, plugins: readonly Plugin[]): Promise<Rolldown.OutputChunk> {
  const result = await build({
    configFile: false,
    logLevel: "warn",
    mode: isProduction ? "production" : "development",
    publicDir: false,
    define: { "process.env.NODE_ENV": JSON.stringify(isProduction ? "production" : "development") },
    plugins: [...plugins, ...(isProduction ? [minifyWgslPlugin()] : [])],
    build: {
      write: false,
      target: "es2022",
      minify: isProduction,
      sourcemap: isProduction ? false : "inline",
      lib: { entry: ENTRY, formats: ["iife"], name: "CairnWorker" },
      rolldownOptions: { output: { codeSplitting: false }, treeshake: { manualPureFunctions: ["Object.freeze"] } },
    },
  });
  const outputs = (Array.isArray(result) ? result : [result]) as Rolldown.RolldownOutput[];
  const files = outputs.flatMap((output) => output.output);
  const [chunk] = files;
  if (files.length !== 1 || chunk?.type !== "chunk") {
    throw new Error(`The worker must be one file; the build made ${files.map((file) => file.fileName).join(", ")}.`);
  }
  return chunk;
}
