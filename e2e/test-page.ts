import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { ROOT } from "../scripts/project.mjs";
import { startStaticServer } from "../scripts/static-server.mjs";

/** A page of e2e/fixtures that was built, and is served. */
export interface TestPage {
  readonly url: string;
  readonly origin: string;
  close(): Promise<void>;
}

/** Builds a page of e2e/fixtures and serves it; `mounts` are served beside it, and all with these headers. */
export async function openTestPage(
  fixture: string,
  mounts: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<TestPage> {
  const outDir = await mkdtemp(join(tmpdir(), "cairn-page-"));
  await build({
    configFile: false,
    root: ROOT,
    publicDir: false,
    logLevel: "warn",
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2023",
      chunkSizeWarningLimit: Number.POSITIVE_INFINITY,
      rolldownOptions: { input: join(ROOT, "e2e/fixtures", fixture) },
    },
    worker: { format: "es" },
  });
  const server = await startStaticServer({ mounts: { "/": outDir, ...mounts }, headers });
  return {
    url: `${server.url}/e2e/fixtures/${fixture}`,
    origin: server.url,
    async close() {
      await server.close();
      await rm(outDir, { recursive: true });
    },
  };
}

/** The same, while `use` runs. */
export async function withTestPage(
  fixture: string,
  mounts: Readonly<Record<string, string>>,
  use: (url: string, origin: string) => Promise<void>,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { url, origin, close } = await openTestPage(fixture, mounts, headers);
  try {
    await use(url, origin);
  } finally {
    await close();
  }
}
