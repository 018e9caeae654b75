import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { ROOT } from "../scripts/project.mjs";
import { startStaticServer } from "../scripts/static-server.mjs";
import { compileOnly } from "./compile-only";
import golden from "./fixtures/cairn-stories-3M.golden.json" with { type: "json" };
import { packTarball, type Tarball, TempProject, type Tool } from "./packaging/project";
import { startViteDevServer } from "./packaging/vite-dev-server";
import { expect, test } from "./test";

const STRICT_CSP = {
  "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'",
};
const MODEL = "models/cairn-stories-3M";
/** Of the lazy part that quantizes. */
const PART_KERNEL = "quantize_rows";
/** Fresh shaders on a software adapter, on a machine that may be busy. */
const LOAD_TIMEOUT_MS = 240_000;

const example = readFileSync(join(ROOT, "examples/vanilla/main.js"), "utf8");
const exampleHtml = readFileSync(join(ROOT, "examples/vanilla/index.html"), "utf8");
const answer = golden.cases.find(({ messages }) => messages.length === 1 && messages[0]?.content === "Hello!")?.text;

test.describe.configure({ timeout: LOAD_TIMEOUT_MS + 60_000 });

let packDir: string;
let tarball: Tarball;
let project: TempProject;
let outcome: Outcome;

test.beforeAll(() => {
  packDir = mkdtempSync(join(tmpdir(), "cairn-pack-"));
  tarball = packTarball(packDir);
});

test.afterAll(() => rmSync(packDir, { recursive: true, force: true }));

test.afterEach(() => project?.remove());

/**
 * What the example's page comes to. An engine's start takes a software adapter long, so not every way of building gets one in
 * `npm test`. With "part" a model is missing too, then another load gets a lazy part.
 */
type Outcome = "answer" | "missing model" | "part";

function makeProject(tools: readonly Tool[], expected: Outcome, main = example, html = exampleHtml): TempProject {
  project = new TempProject(tarball, tools);
  project.write("main.js", main);
  project.write("index.html", html);
  outcome = process.env.CAIRN_SOAK ? "answer" : expected;
  if (outcome === "answer") project.copyFromRepository(`public/${MODEL}`, `public/${MODEL}`);
  if (outcome === "part") project.copyFromRepository(`public/${MODEL}`, "public/models/present");
  return project;
}

/** The example, with the package in the test's reach. */
const inReach = example.replace(/^import.*$/m, "$&\nglobalThis.createEngine = createEngine;");

/** The example with the worker from a URL: an expression in JavaScript. */
function withWorkerUrl(expression: string): string {
  const text = example.replace(`cairn-stories-3M/" }`, `cairn-stories-3M/", workerUrl: ${expression} }`);
  expect(text).not.toBe(example);
  return text;
}

async function expectOutcome(page: Page, url: string, pageErrors: readonly string[]): Promise<void> {
  if (outcome === "part") await compileOnly(page, ["repack_rows"]);
  await (outcome === "answer" ? expectAnswer : expectMissingModel)(page, url, pageErrors);
  if (outcome === "part") await expectPart(page);
}

/** The worker came up, looked for the model, and its error reached the page whole. */
async function expectMissingModel(page: Page, url: string, pageErrors: readonly string[]): Promise<void> {
  await page.goto(url);
  const uncaught = /^CairnError: "config.json" is not at .*cairn-stories-3M/;
  await expect.poll(() => pageErrors.filter((error) => uncaught.test(error))).toHaveLength(1);
}

/** The page streamed exactly the golden answer, then let its worker go. */
async function expectAnswer(page: Page, url: string, pageErrors: readonly string[]): Promise<void> {
  expect(answer).toBe("Hello! What story would you like to hear?");
  await page.goto(url);
  const text = async () => (await page.locator("body").textContent())?.trim();
  const isOver = async () => pageErrors.length > 0 || (await text()) === answer;
  await expect.poll(isOver, { timeout: LOAD_TIMEOUT_MS }).toBe(true);
  expect(pageErrors).toEqual([]);
  await expect.poll(() => page.workers().length).toBe(0);
  expect(await text()).toBe(answer);
  expect(pageErrors).toEqual([]);
}

/** A lazy part reaches the worker, and its kernel the device. */
async function expectPart(page: Page): Promise<void> {
  const load = (model: string): Promise<string> => {
    const { createEngine } = globalThis as unknown as Pick<typeof import("../src/index"), "createEngine">;
    return createEngine({ model, cache: false, quantization: "q4_0" }).then(
      () => "loaded",
      ({ code, message }) => `${code}: ${message}`,
    );
  };
  const end = await page.evaluate(load, "/models/present/");
  expect(end).toMatch(/^gpu_error: /);
  expect(end).toContain(PART_KERNEL);
}

interface Served {
  readonly page: Page;
  readonly pageErrors: readonly string[];
  /** URL path -> folder of the project */
  readonly mounts: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

async function expectOutcomeFrom({ page, pageErrors, mounts, headers }: Served): Promise<void> {
  const absolute = Object.entries(mounts).map(([path, dir]) => [path, join(project.dir, dir)]);
  const server = await startStaticServer({ mounts: Object.fromEntries(absolute), headers });
  try {
    await expectOutcome(page, `${server.url}/`, pageErrors);
  } finally {
    await server.close();
  }
}

const WEBPACK_BUILD = `
import webpack from "webpack";
const config = { mode: "production", context: import.meta.dirname ?? process.cwd(), entry: "./main.js", performance: false,
  output: { path: process.cwd() + "/dist", filename: "main.js" } };
webpack(config, (error, stats) => {
  const failed = error || stats.hasErrors() || stats.hasWarnings();
  if (failed) { console.error(error ?? stats.toString()); process.exit(1); }
});`;
const ESBUILD_BUILD = `
import { build } from "esbuild";
await build({ entryPoints: ["main.js"], bundle: true, format: "esm", outfile: "dist/main.js", logLevel: "warning" });`;

test.describe("the ten-line example from the packed tarball", () => {
  test("Vite, dev server", async ({ page, pageErrors }) => {
    makeProject(["vite"], "part", inReach);
    const server = await startViteDevServer(project.dir);
    try {
      await expectOutcome(page, `${server.url}/`, pageErrors);
    } finally {
      await server.close();
    }
  });

  test("Vite, build", async ({ page, pageErrors }) => {
    makeProject(["vite"], "answer").node("node_modules/vite/bin/vite.js", "build");
    const selfTest = page.waitForResponse(/part-self-test/);
    await expectOutcomeFrom({ page, pageErrors, mounts: { "/": "dist" } });
    expect((await selfTest).ok()).toBe(true);
  });

  for (const [tool, script] of [["webpack", WEBPACK_BUILD] as const, ["esbuild", ESBUILD_BUILD] as const]) {
    test(tool, async ({ page, pageErrors }) => {
      makeProject([tool], "part", inReach);
      project.write("build.js", script);
      project.node("build.js");
      project.write("dist/index.html", exampleHtml);
      await expectOutcomeFrom({ page, pageErrors, mounts: { "/": "dist", "/models/": "public/models" } });
    });
  }

  test("a plain module script", async ({ page, pageErrors }) => {
    const importMap = `<script type="importmap">{ "imports": { "cairn-llm": "/cairn-llm/index.js" } }</script>`;
    makeProject([], "part", inReach, exampleHtml.replace("</head>", `${importMap}</head>`));
    const mounts = { "/": ".", "/cairn-llm/": "node_modules/cairn-llm/dist", "/models/": "public/models" };
    await expectOutcomeFrom({ page, pageErrors, mounts });
  });
});

test.describe("under a strict CSP, with workerUrl", () => {
  test("a plain module script", async ({ page, pageErrors }) => {
    const main = withWorkerUrl(`"/cairn-llm/worker.js"`).replace(`"cairn-llm"`, `"/cairn-llm/index.js"`);
    makeProject([], "missing model", main);
    const mounts = { "/": ".", "/cairn-llm/": "node_modules/cairn-llm/dist", "/models/": "public/models" };
    await expectOutcomeFrom({ page, pageErrors, mounts, headers: STRICT_CSP });
  });

  const bundledUrl = `new URL("cairn-llm/worker.js", import.meta.url)`;

  test("Vite, build", async ({ page, pageErrors }) => {
    makeProject(["vite"], "missing model", withWorkerUrl(bundledUrl)).node("node_modules/vite/bin/vite.js", "build");
    await expectOutcomeFrom({ page, pageErrors, mounts: { "/": "dist" }, headers: STRICT_CSP });
  });

  test("webpack", async ({ page, pageErrors }) => {
    makeProject(["webpack"], "missing model", withWorkerUrl(bundledUrl));
    project.write("build.js", WEBPACK_BUILD);
    project.node("build.js");
    project.write("dist/index.html", exampleHtml);
    const mounts = { "/": "dist", "/models/": "public/models" };
    await expectOutcomeFrom({ page, pageErrors, mounts, headers: STRICT_CSP });
  });
});

test("the tarball holds the build and nothing else", () => {
  const outsideTypes = tarball.files.filter((file) => !file.startsWith("dist/types/"));
  const chunks = outsideTypes.filter((file) => /^dist\/[\w-]+\.js$/.test(file));
  expect(outsideTypes.filter((file) => !chunks.includes(file)).sort()).toEqual([
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "dist/THIRD_PARTY_LICENSES",
    "package.json",
  ]);
  expect(chunks).toEqual(expect.arrayContaining(["dist/index.js", "dist/worker.js"]));
  const licenses = readFileSync(join(ROOT, "dist/THIRD_PARTY_LICENSES"), "utf8");
  for (const name of ["comlink", "@huggingface/jinja", "@huggingface/tokenizers"])
    expect(licenses).toContain(`${name} `);
});

test("publint and attw find nothing wrong with it", () => {
  project = new TempProject(tarball, []);
  const bin = (path: string): string => join(ROOT, "node_modules", path);
  expect(project.node(bin("publint/src/cli.js"), "run", tarball.path, "--strict")).toContain("All good!");
  const attw = project.node(bin("@arethetypeswrong/cli/dist/index.js"), tarball.path, "--profile", "esm-only");
  // Its exit code is the verdict on what an ES module can be asked for; the rest of the table is about CommonJS.
  expect(attw.match(/node16 \(from ESM\): 🟢|bundler: 🟢/g)).toHaveLength(6);
});

test("the package evaluates no text as code, and names no host but the hub", () => {
  for (const file of tarball.files.filter((path) => path.endsWith(".js"))) {
    const text = readFileSync(join(ROOT, file), "utf8");
    expect(text, file).not.toMatch(/\beval\(|\bnew Function\b|\bFunction\(/);
    const hosts = text.match(/https?:\/\/[\w.-]+/g) ?? [];
    expect(
      hosts.filter((host) => host !== "https://huggingface.co"),
      file,
    ).toEqual([]);
  }
});

test("its types hold for a strict consumer without the GPU's or Node's types", () => {
  project = new TempProject(tarball, ["typescript"]);
  project.write("main.ts", `${example}\nexport const id: string = engine.info.modelId;\n`);
  const lib = ["es2023", "dom", "dom.iterable"];
  const compilerOptions = { strict: true, noEmit: true, module: "nodenext", target: "es2022", lib, types: [] };
  project.write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["main.ts"] }));
  expect(project.node("node_modules/typescript/bin/tsc", "--pretty", "false")).toBe("");
});

test("importing it in Node touches no global", () => {
  project = new TempProject(tarball, []);
  project.write(
    "import.js",
    `const names = ["window", "document", "navigator", "location", "self", "Worker", "SharedWorker", "indexedDB", "caches",
      "localStorage", "fetch", "crypto", "GPUBufferUsage", "BroadcastChannel", "MessageChannel"];
    for (const name of names) {
      const get = () => { throw new Error("read globalThis." + name); };
      Object.defineProperty(globalThis, name, { configurable: true, get, set: get });
    }
    const before = Reflect.ownKeys(globalThis);
    const cairn = await import("cairn-llm");
    const added = Reflect.ownKeys(globalThis).filter((key) => !before.includes(key));
    console.log(JSON.stringify({ added, createEngine: typeof cairn.createEngine }));`,
  );
  expect(JSON.parse(project.node("import.js"))).toEqual({ added: [], createEngine: "function" });
});
