// Builds the chat page if needed, serves it on localhost and opens it. --no-open (or CI) only serves; --port 8000 picks the port.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ROOT, runNode } from "./project.mjs";
import { startStaticServer } from "./static-server.mjs";

const { values } = parseArgs({
  options: { "no-open": { type: "boolean", default: false }, port: { type: "string", default: "4173" } },
});
const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error(`--port must be a number from 0 to 65535, not "${values.port}".`);
  process.exit(1);
}

const code = await runNode(["scripts/build.mjs", "--page", "--if-stale"]);
if (code !== 0) process.exit(code);

const server = await startStaticServer({ mounts: { "/": join(ROOT, "dist-page") }, port });
console.log(`Cairn's chat is at ${server.url}/ (Ctrl+C ends it)`);
if (!values["no-open"] && !process.env.CI) openInBrowser(`${server.url}/`);

/** @param {string} url */
function openInBrowser(url) {
  const [command, ...args] =
    process.platform === "darwin"
      ? ["open", url]
      : process.platform === "win32"
        ? ["cmd", "/c", "start", "", url]
        : ["xdg-open", url];
  const child = spawn(command, args, { stdio: "ignore", detached: true });
  // No desktop, no browser: the printed address is enough.
  child.once("error", () => {});
  child.unref();
}
