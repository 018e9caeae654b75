import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { ROOT } from "../../scripts/project.mjs";
import { startStaticServer } from "../../scripts/static-server.mjs";

const CLIENTS = "e2e/fixtures/openai-clients.html";
const CLUSTER = "examples/cluster/index.html";

export interface ClientPages {
  /** The page that `fixtures/openai-clients.ts` makes. */
  readonly clientsUrl: string;
  /** The example `cluster`. */
  readonly clusterUrl: string;
  close(): Promise<void>;
}

/** Builds the pages that have the official clients in them, and serves them beside the library and the embedded model. */
export async function openClientPages(): Promise<ClientPages> {
  const outDir = await mkdtemp(join(tmpdir(), "cairn-clients-"));
  await build({
    configFile: false,
    root: ROOT,
    publicDir: false,
    logLevel: "warn",
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2023",
      // The clients come as they are.
      chunkSizeWarningLimit: Number.POSITIVE_INFINITY,
      rolldownOptions: { input: [CLIENTS, CLUSTER].map((page) => join(ROOT, page)) },
    },
  });
  const mounts = { "/": outDir, "/dist/": join(ROOT, "dist"), "/models/": join(ROOT, "public/models") };
  const server = await startStaticServer({ mounts });
  return {
    clientsUrl: `${server.url}/${CLIENTS}`,
    clusterUrl: `${server.url}/${CLUSTER}`,
    async close() {
      await server.close();
      await rm(outDir, { recursive: true });
    },
  };
}
