// Runs bench.html in a browser and prints its table and JSON. Arguments are passed on: npm run bench -- prompt=512 repeats=5
// --software uses the software adapter, for a machine without a GPU; its figures compare with each other only.
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { HEADLESS_ARGS, SOFTWARE_GPU_ARGS } from "./browser-args.mjs";
import { findBrowser } from "./find-browser.mjs";
import { ROOT, runNode } from "./project.mjs";
import { startStaticServer } from "./static-server.mjs";

const args = process.argv.slice(2);
const software = args.includes("--software");
const query = args.filter((arg) => !arg.startsWith("--")).join("&");

const code = await runNode(["scripts/build.mjs", "--page", "--if-stale"]);
if (code !== 0) process.exit(code);

const server = await startStaticServer({ mounts: { "/": join(ROOT, "dist-page") } });
// With a profile on the disk, which is deleted again: without one the browser's storage is its memory.
const context = await chromium.launchPersistentContext("", {
  executablePath: findBrowser(),
  args: [...HEADLESS_ARGS, ...(software ? SOFTWARE_GPU_ARGS : [])],
});
try {
  const page = await context.newPage();
  await page.goto(`${server.url}/bench.html?${query}`);
  await page.waitForFunction(() => window.benchReport, undefined, { timeout: 0 });
  const report = await page.evaluate(() => window.benchReport);
  if (!report || "error" in report) throw new Error(report?.error ?? "no report");
  console.log(await page.locator("#status").textContent());
  const round = (/** @type {number} */ value) => Math.round(value * 10) / 10;
  if (report.results.length > 0) {
    console.table(
      report.results.map((result) => ({
        setup: result.name,
        "prefill tokens/s": round(result.prefillTokensPerSecond),
        "decode tokens/s": round(result.decodeTokensPerSecond),
        "batch tokens/s": round(result.batchTokensPerSecond),
        "shared prefix tokens/s": round(result.sharedPrefixTokensPerSecond),
        "shared prefix TTFT ms": round(result.sharedPrefixTtftMs),
        "returning prompt TTFT ms": round(result.returningTtftMs),
        "its KV in RAM, bytes": result.storedBytes,
        "store ms": round(result.storeMs),
        "load ms": round(result.loadMs),
      })),
    );
  }
  if (report.storage.length > 0) {
    console.table(
      report.storage.map((storage) => ({
        encoding: storage.encoding,
        "stored prompt, tokens": storage.promptTokens,
        "record, bytes": storage.chunkBytes,
        "stored, bytes": storage.storedBytes,
        "store MB/s": round(storage.storeMegabytesPerSecond),
        "raw write MB/s": round(storage.rawWriteMegabytesPerSecond),
        "restore MB/s": round(storage.restoreMegabytesPerSecond),
        "raw read MB/s": round(storage.rawReadMegabytesPerSecond),
        "TTFT computed, ms": round(storage.coldTtftMs),
        "TTFT stored, ms": round(storage.storedTtftMs),
      })),
    );
  }
  console.table(
    report.backends.map(({ recordBytes, rates: { indexeddb, auto } }) => {
      const rate = (/** @type {number} */ msPerRecord) => round(recordBytes / msPerRecord / 1000);
      return {
        "record KiB": recordBytes / 1024,
        "write MB/s, IndexedDB": rate(indexeddb.writeMsPerRecord),
        file: rate(auto.writeMsPerRecord),
        times: round(indexeddb.writeMsPerRecord / auto.writeMsPerRecord),
        "read MB/s, IndexedDB": rate(indexeddb.readMsPerRecord),
        "file ": rate(auto.readMsPerRecord),
        "times ": round(indexeddb.readMsPerRecord / auto.readMsPerRecord),
      };
    }),
  );
  console.log(JSON.stringify(report));
} finally {
  await context.close();
  await server.close();
}
