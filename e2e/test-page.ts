import { startStaticServer } from "../scripts/static-server.mjs";
import { TEST_PAGES_DIR } from "./build-test-pages";

/**
 * Serves a page of e2e/fixtures that reaches into src/ while `use` runs; `mounts` are served beside it, and all with these
 * headers.
 */
export async function withTestPage(
  fixture: string,
  mounts: Readonly<Record<string, string>>,
  use: (url: string, origin: string) => Promise<void>,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const server = await startStaticServer({ mounts: { "/": TEST_PAGES_DIR, ...mounts }, headers });
  try {
    await use(`${server.url}/e2e/fixtures/${fixture}`, server.url);
  } finally {
    await server.close();
  }
}
