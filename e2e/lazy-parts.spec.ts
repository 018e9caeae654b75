import { join } from "node:path";
import { ROOT } from "../scripts/project.mjs";
import { startStaticServer } from "../scripts/static-server.mjs";
import { expect, test } from "./test";

test("a policy that lets workers start from blobs, but no scripts, is told where a part is needed", async ({
  page,
}) => {
  const mounts = { "/": "e2e/fixtures", "/dist/": "dist", "/models/": "public/models" };
  const server = await startStaticServer({
    mounts: Object.fromEntries(Object.entries(mounts).map(([path, dir]) => [path, join(ROOT, dir)])),
    headers: { "Content-Security-Policy": "script-src 'self' 'wasm-unsafe-eval'; worker-src blob:" },
  });
  try {
    await page.goto(`${server.url}/blank.html`);
    const failure = await page.evaluate(async () => {
      const packageUrl = "/dist/index.js";
      const { createEngine }: typeof import("../src/index") = await import(packageUrl);
      const loading = createEngine({ model: "/models/cairn-stories-3M/", cache: false, quantization: "q8_0" });
      return loading.then(
        () => "loaded",
        ({ code, message }) => `${code}: ${message}`,
      );
    });
    expect(failure).toMatch(/^worker_failed: quantization could not be loaded: .*blob:/);
  } finally {
    await server.close();
  }
});
