import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin, Rolldown } from "vite";
import { build } from "vite";
import type { PartName } from "../src/protocol/messages.ts";
import { minifyWgslPlugin } from "./minify-wgsl.ts";
import { importedNames } from "./source-imports.ts";

const WORKER = fileURLToPath(new URL("../src/worker", import.meta.url));

/** The lazy parts' files; each exports the part under its name. */
const PARTS: Readonly<Record<PartName, string>> = {
  selfTest: "parts/self-test.ts",
  download: "parts/download.ts",
  cacheApi: "parts/cache-api.ts",
  quantization: "parts/quantization.ts",
  profiler: "parts/profiler.ts",
  storage: "parts/storage.ts",
  logitStages: "parts/logit-stages.ts",
  arc: "parts/arc.ts",
  int8: "parts/int8.ts",
  grammar: "parts/grammar.ts",
};

const SOURCE_ID = "virtual:cairn-worker-source";
const PARTS_ID = "virtual:cairn-parts";
const BUILD_ID = "virtual:cairn-build";
const STORAGE_WORKER_ID = "virtual:cairn-storage-worker-source";
const partId = (file: string) => `virtual:cairn-part-${basename(file, ".ts")}`;

export interface WorkerSourceOptions {
  /** Also write the worker's text, with all parts in it, as this file of the output, for `workerUrl`. */
  readonly emitFile?: string;
  /** Plugins of the nested builds, such as the one that collects licences. */
  readonly plugins?: readonly Plugin[];
}

/**
 * `import source from "virtual:cairn-worker-source"`: the engine worker with all it imports, besides its lazy parts, as the text
 * of one classic script, which also runs as a module. `import { PARTS } from "virtual:cairn-parts"`: for each part a function that
 * imports its text, a module whose default export makes the part from what the worker shares. `import build from
 * "virtual:cairn-build"`: a hash of the worker's file. Made by nested builds, so that every bundler that later sees the package sees
 * only strings, and dynamic imports of fixed names.
 */
export function workerSource(options: WorkerSourceOptions = {}): Plugin {
  let isProduction = false;
  const bundle = (file: string, plugins: readonly Plugin[] = []) =>
    buildScript(join(WORKER, file), isProduction, [...(options.plugins ?? []), ...plugins]);
  const bundleWhole = () => bundle("whole-engine-worker.ts");
  const hashWhole = async () => {
    const { code, moduleIds } = await bundleWhole();
    return { code: createHash("sha256").update(code).digest("hex").slice(0, 32), moduleIds };
  };
  const scripts = new Map<string, () => Promise<Script>>([
    [SOURCE_ID, () => bundle("engine-worker.ts")],
    [BUILD_ID, hashWhole],
  ]);
  for (const [name, file] of Object.entries(PARTS)) {
    scripts.set(partId(file), async () => {
      const { code, moduleIds } = await bundle(file, [
        sharedPlugin(),
        storageWorkerPlugin(bundle),
        withoutNodePlugin(),
      ]);
      return { code: `export default shared=>{${code}\nreturn Cairn.${name}}`, moduleIds };
    });
  }
  return {
    name: "cairn-worker-source",
    configResolved(config) {
      isProduction = config.command === "build";
    },
    resolveId(id) {
      return id === PARTS_ID || scripts.has(id) ? `\0${id}` : null;
    },
    async load(id) {
      if (id === `\0${PARTS_ID}`) {
        const parts = Object.entries(PARTS).map(([name, file]) => `${name}:()=>import("${partId(file)}")`);
        return `export const PARTS={${parts.join(",")}};`;
      }
      const script = await scripts.get(id.slice(1))?.();
      if (!script) return null;
      for (const moduleId of script.moduleIds) {
        const file = moduleId.split("?")[0] ?? "";
        if (!file.startsWith("\0")) this.addWatchFile(file);
      }
      return `export default ${JSON.stringify(script.code)};`;
    },
    async generateBundle() {
      if (options.emitFile) {
        const { code } = await bundleWhole();
        this.emitFile({ type: "asset", fileName: options.emitFile, source: code });
      }
    },
  };
}

/** `import source from "virtual:cairn-storage-worker-source"`, in a part: the storage worker as the text of one script. */
function storageWorkerPlugin(bundle: (file: string) => Promise<Script>): Plugin {
  return {
    name: "cairn-storage-worker",
    resolveId: (id) => (id === STORAGE_WORKER_ID ? `\0${id}` : null),
    async load(id) {
      if (id !== `\0${STORAGE_WORKER_ID}`) return null;
      const { code, moduleIds } = await bundle("storage-worker.ts");
      for (const file of moduleIds) if (!file.startsWith("\0")) this.addWatchFile(file);
      return `export default ${JSON.stringify(code)};`;
    },
  };
}

/** In a part's build, what the worker shares is no import: it is taken from the variable `shared`. */
function sharedPlugin(): Plugin {
  const file = join(WORKER, "shared.ts");
  const imports = Object.entries(importedNames(file, readFileSync(file, "utf8")));
  const names = new Map(imports.map(([specifier, taken]) => [`${join(WORKER, specifier)}.ts`, taken]));
  const PREFIX = "\0shared:";
  return {
    name: "cairn-shared",
    enforce: "pre",
    resolveId(id, importer) {
      if (!importer || !id.startsWith(".")) return null;
      const path = `${join(dirname(importer), id)}.ts`;
      return names.has(path) ? PREFIX + path : null;
    },
    load(id) {
      const path = id.slice(PREFIX.length);
      const taken = id.startsWith(PREFIX) && names.get(path);
      if (!taken) return null;
      const code = taken.map((name) => `export const ${name}=shared.${name};`).join("");
      // What else the file has is bundled; what it exports here by name hides its own.
      return { code: `export * from ${JSON.stringify(path)};${code}`, moduleSideEffects: false };
    },
  };
}

/** XGrammar's code for Node goes: a bundler would look for what it imports. */
function withoutNodePlugin(): Plugin {
  return {
    name: "cairn-without-node",
    transform(code, id) {
      if (!id.includes("/@mlc-ai/web-xgrammar/")) return null;
      return code
        .replace(/\bENVIRONMENT_IS_NODE=typeof process[^;]+;/, "ENVIRONMENT_IS_NODE=false;")
        .replaceAll("typeof location === 'undefined'", "false")
        .replace("await import('module')", "{}");
    },
  };
}

type Script = Pick<Rolldown.OutputChunk, "code" | "moduleIds">;

async function buildScript(file: string, isProduction: boolean, plugins: readonly Plugin[]): Promise<Script> {
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
        output: { codeSplitting: false },
        treeshake: { manualPureFunctions: ["Object.freeze"], propertyReadSideEffects: false },
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
