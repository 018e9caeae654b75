import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { ROOT } from "../scripts/project.mjs";
import { startStaticServer } from "../scripts/static-server.mjs";

/**
 * Builds a page of e2e/fixtures that reaches into src/ and serves it while `use` runs; `mounts` are served beside it, and all with
 * these headers.
 */
export async function withTestPage(
  fixture: string,
  mounts: Readonly<Record<string, string>>,
  use: (url: string, origin: string) => Promise<void>,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
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
      rolldownOptions: { input: join(ROOT, "e2e/fixtures", fixture) },
    },
    worker: { format: "es" },
  });
  const server = await startStaticServer({ mounts: { "/": outDir, ...mounts }, headers });
  try {
    await use(`${server.url}/e2e/fixtures/${fixture}`, server.url);
  } finally {
    await server.close();
    await rm(outDir, { recursive: true });
  }
}
