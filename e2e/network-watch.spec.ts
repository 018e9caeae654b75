import { expect, test } from "./test";

test("the watch sees requests of pages and of workers", async ({ page, site, contactedHosts }) => {
  await page.goto(`${site.url}/fixtures/blank.html`);
  await page.evaluate(async () => {
    await fetch("http://from-page.invalid/").catch(() => {});
    const source = `fetch("http://from-worker.invalid/").catch(() => {}).finally(() => postMessage("done"));`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module" });
    await new Promise((resolve) => worker.addEventListener("message", resolve));
    worker.terminate();
  });
  expect([...contactedHosts].sort()).toEqual(["from-page.invalid", "from-worker.invalid", "localhost"]);
  contactedHosts.delete("from-page.invalid");
  contactedHosts.delete("from-worker.invalid");
});
