import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin, Rolldown } from "vite";
import { build } from "vite";
import { minifyWgslPlugin } from "./minify-wgsl.ts";

const entry = (path: string) => fileURLToPath(new URL(`../src/${path}`, import.meta.url));

const WORKER_ENTRY = entry("worker/engine-worker.ts");
/** The worker with the self-test in it, which no page has to hand it. */
const WHOLE_WORKER_ENTRY = entry("worker/whole-engine-worker.ts");
const SELF_TEST_ENTRY = entry("runner/self-test/judge-device.ts");
/** What the worker hands to the self-test. */
const PARTS = entry("runner/self-test/parts.ts");

export interface WorkerSourceOptions {
  /** Also write the whole worker's text as this file of the output, for `workerUrl`. */
  readonly emitFile?: string;
  /** Plugins of the nested builds, such as the one that collects licences. */
  readonly plugins?: readonly Plugin[];
}

/**
 * `import source from "virtual:cairn-worker-source"`: the engine worker with all it imports, besides the self-test, as the text of
 * one classic script, which also runs as a module. `"virtual:cairn-self-test-source"`: the self-test as the text of a module, a
 * function of the worker's parts. Made by nested builds, so that every bundler that later sees the package sees only strings.
 */
export function workerSource(options: WorkerSourceOptions = {}): Plugin {
  let isProduction = false;
  const bundle = (file: string) => buildScript(file, isProduction, options.plugins ?? []);
  const sources: Readonly<Record<string, () => Promise<Rolldown.OutputChunk>>> = {
    "virtual:cairn-worker-source": () => bundle(WORKER_ENTRY),
    "virtual:cairn-self-test-source": async () => {
      const chunk = await bundle(SELF_TEST_ENTRY);
      return { ...chunk, code: `export default parts=>{${chunk.code}\nreturn Cairn.judgeDevice}` };
    },
  };
  return {
    name: "cairn-worker-source",
    configResolved(config) {
      isProduction = config.command === "build";
    },
    resolveId(id) {
      return id in sources ? `\0${id}` : null;
    },
    async load(id) {
      const chunk = await sources[id.slice(1)]?.();
      if (!chunk) return null;
      for (const moduleId of chunk.moduleIds) {
        const file = moduleId.split("?")[0] ?? "";
        if (!file.startsWith("\0")) this.addWatchFile(file);
      }
      return `export default ${JSON.stringify(chunk.code)};`;
    },
    async generateBundle() {
      if (options.emitFile) {
        const { code } = await bundle(WHOLE_WORKER_ENTRY);
        this.emitFile({ type: "asset", fileName: options.emitFile, source: code });
      }
    },
  };
}

async function buildScript(
  file: string,
  isProduction: boolean,
  plugins: readonly Plugin[],
): Promise<Rolldown.OutputChunk> {
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
      lib: { entry: file, formats: ["iife"], name: "Cairn" },
      rolldownOptions: {
        ...(file === SELF_TEST_ENTRY ? { external: [PARTS] } : {}),
        output: { codeSplitting: false, globals: { [PARTS]: "parts" } },
        treeshake: { manualPureFunctions: ["Object.freeze"] },
      },
    },
  });
  const outputs = (Array.isArray(result) ? result : [result]) as Rolldown.RolldownOutput[];
  const files = outputs.flatMap((output) => output.output);
  const [chunk] = files;
  if (files.length !== 1 || chunk?.type !== "chunk") {
    const names = files.map((made) => made.fileName).join(", ");
    throw new Error(`${basename(file)} must become one file; the build made ${names}.`);
  }
  return chunk;
}
