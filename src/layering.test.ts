import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readModules, resolveImport, type SourceModule } from "../scripts/source-imports";

/** What a layer may import: layers, or single files of one. Its own files are always allowed. */
interface Layer {
  readonly values: readonly string[];
  /** Beyond the values, by `import type` only. */
  readonly types?: readonly string[];
}

/** docs/architecture.md draws these. Every layer may also import util, what sampling parameters are, and types of sampling and protocol. */
const LAYERS: Readonly<Record<string, Layer>> = {
  index: { values: ["api", "util/errors"] },
  api: { values: ["protocol", "loader/cache/cached-models"] },
  protocol: { values: [] },
  // Beyond the engine: its lazy parts, and what it shares with them.
  worker: {
    values: [
      "protocol",
      "engine",
      "runner",
      "models",
      "kernels",
      "gpu",
      "loader/cache",
      "offload/arc-policy",
      "offload/storage",
      "sampling/grammar",
    ],
  },
  engine: {
    values: [
      "scheduler",
      "kv",
      "offload",
      "runner",
      "models",
      "loader",
      "tokenizer",
      "sampling",
      "gpu",
      "../package.json",
    ],
  },
  scheduler: { values: ["kv"], types: ["offload/connector", "offload/transfer-job"] },
  kv: { values: ["models/config"] },
  offload: { values: ["kv"] },
  runner: {
    values: ["models", "kernels", "gpu", "kv"],
    types: ["scheduler/scheduler-output", "offload/transfer-job"],
  },
  models: { values: ["kernels", "gpu"], types: ["loader/weight-map"] },
  kernels: { values: ["gpu", "../shaders"] },
  gpu: { values: [] },
  loader: { values: ["models/config", "kv/geometry"] },
  tokenizer: { values: [] },
  sampling: { values: [] },
  util: { values: [] },
  demo: { values: ["index"] },
};
/** Programs for the developer: they may import anything, and nothing may import them. */
const TOOLS = new Set(["bench", "simulate"]);
/** Code that only tests run: folders of its own, and files beside the sources. No layer holds it. */
const TEST_FOLDER = /^(testing|kernels\/reference)\//;
const TEST_FILE = /\.(test|test-d|fixture|cases)$/;
const WITHOUT_GPU = new Set(["scheduler", "kv", "offload", "sampling", "tokenizer", "loader"]);

const layerOf = (path: string): string => path.split("/")[0] ?? path;
const isTestPath = (path: string): boolean => TEST_FILE.test(path) || TEST_FOLDER.test(path);

const modules = readModules(fileURLToPath(new URL(".", import.meta.url))).filter(({ path }) => !isTestPath(path));

function isAllowed(from: string, target: string, typeOnly: boolean): boolean {
  const layer = LAYERS[layerOf(from)];
  if (!layer || layerOf(from) === layerOf(target)) return layer !== undefined;
  const types = typeOnly ? ["sampling", "protocol"] : [];
  const everyones = layerOf(from) === "util" ? [] : ["util", "sampling/sampling-params", ...types];
  const allowed = [...layer.values, ...everyones, ...(typeOnly ? (layer.types ?? []) : [])];
  return allowed.some((entry) => target === entry || target.startsWith(`${entry}/`));
}

/** The module, the modules it reaches, and so on, by imports that exist at run time. */
function reachable(start: string, valueImports: ReadonlyMap<string, readonly string[]>): Set<string> {
  const seen = new Set<string>();
  const queue = [start];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    queue.push(...(valueImports.get(path) ?? []));
  }
  return seen;
}

/** The first cycle that a depth-first walk meets, or null. */
function findCycle(valueImports: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): string[] | null => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return null;
    trail.push(path);
    for (const target of valueImports.get(path) ?? []) {
      const cycle = visit(target);
      if (cycle) return cycle;
    }
    trail.pop();
    done.add(path);
    return null;
  };
  for (const path of valueImports.keys()) {
    const cycle = visit(path);
    if (cycle) return cycle;
  }
  return null;
}

function valueImportsOf(sources: readonly SourceModule[]): Map<string, string[]> {
  return new Map(
    sources.map(({ path, imports }) => [
      path,
      imports.flatMap(({ specifier, typeOnly }) => (typeOnly ? [] : (resolveImport(path, specifier) ?? []))),
    ]),
  );
}

describe("src/", () => {
  test("every folder is a layer, and every layer imports only what it may", () => {
    const violations = modules.flatMap(({ path, imports }) => {
      if (TOOLS.has(layerOf(path))) return [];
      return imports.flatMap(({ specifier, typeOnly }) => {
        const target = resolveImport(path, specifier);
        return target === null || isAllowed(path, target, typeOnly)
          ? []
          : [`${path} -> ${target}${typeOnly ? " (type)" : ""}`];
      });
    });
    expect(violations).toEqual([]);
    const folders = new Set(modules.map(({ path }) => layerOf(path)));
    expect([...folders].filter((folder) => !(folder in LAYERS) && !TOOLS.has(folder))).toEqual([]);
  });

  test("nothing imports the tools or the test code", () => {
    const violations = modules.flatMap(({ path, imports }) =>
      imports
        .map(({ specifier }) => resolveImport(path, specifier))
        .filter((target) => target !== null && layerOf(target) !== layerOf(path))
        .filter((target) => TOOLS.has(layerOf(target ?? "")) || isTestPath(target ?? ""))
        .map((target) => `${path} -> ${target}`),
    );
    expect(violations).toEqual([]);
  });

  test("no import cycle", () => {
    expect(findCycle(valueImportsOf(modules))).toBeNull();
  });

  test("scheduler, kv, offload, sampling, tokenizer and loader name no GPU type", () => {
    const naming = modules.flatMap(({ path, code }) => {
      const named = WITHOUT_GPU.has(layerOf(path)) ? /\bGPU[A-Z]\w*/.exec(code) : null;
      return named ? [`${path}: ${named[0]}`] : [];
    });
    expect(naming).toEqual([]);
  });

  test("the main thread's modules never reach the engine", () => {
    const layers = new Set([...reachable("index", valueImportsOf(modules))].map(layerOf));
    expect(layers.has("api")).toBe(true);
    for (const layer of ["engine", "runner", "gpu", "kernels", "worker"]) expect(layers).not.toContain(layer);
  });
});

describe("the rules themselves", () => {
  test.each([
    ["scheduler/a", "kv/b", false, true],
    ["scheduler/a", "runner/b", true, false],
    ["scheduler/a", "offload/connector", true, true],
    ["scheduler/a", "offload/connector", false, false],
    ["kernels/a", "../shaders/b.wgsl", false, true],
    ["runner/a", "../shaders/b.wgsl", false, false],
    ["loader/a", "models/config", false, true],
    ["loader/a", "models/config-reader", false, false],
    ["util/a", "protocol/b", true, false],
    ["gpu/a", "protocol/b", true, true],
    ["gpu/a", "protocol/b", false, false],
    ["unknown/a", "unknown/b", false, false],
  ])("%s -> %s, type only %s: %s", (from, target, typeOnly, allowed) => {
    expect(isAllowed(from, target, typeOnly)).toBe(allowed);
  });

  test("a cycle is found and told in order; a diamond is none", () => {
    const diamond = { a: ["b", "c"], b: ["d"], c: ["d"], d: [] };
    expect(findCycle(new Map(Object.entries(diamond)))).toBeNull();
    expect(findCycle(new Map(Object.entries({ ...diamond, d: ["b"] })))).toEqual(["b", "d", "b"]);
  });
});
