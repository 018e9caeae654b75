import { join } from "node:path";
import { test as base, expect } from "@playwright/test";
import { ROOT } from "../scripts/project.mjs";
import { type StaticServer, startStaticServer } from "../scripts/static-server.mjs";
import { SHORT_MODEL } from "./short-model";

export { expect };

const LOCAL_HOSTS = new Set(["localhost", "127.0.0.1"]);

interface TestFixtures {
  /** Hosts that the pages of this test, their workers included, sent requests to. After the test it must hold localhost only. */
  readonly contactedHosts: Set<string>;
  /** Uncaught errors and console errors of the test's page, in words. */
  readonly pageErrors: string[];
}

interface WorkerFixtures {
  /** Serves dist-page at /, the library at /dist/, e2e/fixtures at /fixtures/ and SHORT_MODEL at /short-model/; also the tests' base URL. */
  readonly site: StaticServer;
}

/** Playwright's `test` with the built page at `baseURL` and a watch over what goes out. */
export const test = base.extend<TestFixtures, WorkerFixtures>({
  site: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixture's needs from this pattern.
    async ({}, use) => {
      const server = await startStaticServer({
        mounts: {
          "/": join(ROOT, "dist-page"),
          "/dist/": join(ROOT, "dist"),
          "/fixtures/": join(ROOT, "e2e/fixtures"),
          "/short-model/": SHORT_MODEL,
        },
      });
      await use(server);
      await server.close();
    },
    { scope: "worker" },
  ],
  baseURL: async ({ site }, use) => use(site.url),
  contactedHosts: [
    async ({ context }, use) => {
      const hosts = new Set<string>();
      const record = (url: string): void => {
        const { protocol, hostname } = new URL(url);
        if (/^(https?|wss?):$/.test(protocol)) hosts.add(hostname);
      };
      context.on("request", (request) => record(request.url()));
      context.on("page", (page) => page.on("websocket", (socket) => record(socket.url())));
      await use(hosts);
      expect([...hosts].filter((host) => !LOCAL_HOSTS.has(host))).toEqual([]);
    },
    { auto: true },
  ],
  pageErrors: async ({ page }, use) => {
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => {
      // Browsers ask for the icon by themselves.
      const isIcon = message.location().url.endsWith("/favicon.ico");
      if (message.type() === "error" && !isIcon) errors.push(message.text());
    });
    await use(errors);
  },
});
