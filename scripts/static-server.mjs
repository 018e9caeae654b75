import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { pipeline } from "node:stream";

/** @type {Readonly<Record<string, string>>} */
const MIME_TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/**
 * @typedef {object} StaticServer
 * @property {string} url origin, without a slash at the end
 * @property {() => Promise<void>} close ends open connections too
 *
 * @typedef {object} StaticServerOptions
 * @property {Readonly<Record<string, string>>} mounts URL path prefix that starts and ends in a slash -> folder; the longest that fits wins
 * @property {number} [port] 0, the default, takes any free one; a busy one is replaced by a free one
 * @property {Readonly<Record<string, string>>} [headers] added to every answer
 */

/**
 * Serves folders on localhost: GET and HEAD, one byte range, index.html for a folder, nothing outside the mounts.
 * @param {StaticServerOptions} options
 * @returns {Promise<StaticServer>}
 */
export async function startStaticServer({ mounts, port = 0, headers = {} }) {
  const server = createServer((request, response) => {
    answer(mounts, headers, request, response).catch((error) => {
      console.error(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  const boundPort = await listen(server, port);
  return {
    url: `http://localhost:${boundPort}`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

/**
 * @param {import("node:http").Server} server
 * @param {number} port
 * @returns {Promise<number>} the port that was bound
 */
function listen(server, port) {
  return new Promise((resolve, reject) => {
    const onError = (/** @type {NodeJS.ErrnoException} */ error) => {
      if (error.code === "EADDRINUSE" && port !== 0) resolve(listen(server, 0));
      else reject(error);
    };
    server.once("error", onError);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", onError);
      const address = server.address();
      if (address && typeof address === "object") resolve(address.port);
    });
  });
}

/**
 * @param {Readonly<Record<string, string>>} mounts
 * @param {Readonly<Record<string, string>>} extraHeaders
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 */
async function answer(mounts, extraHeaders, request, response) {
  const refuse = (/** @type {number} */ status, /** @type {Record<string, string>} */ headers = {}) =>
    response.writeHead(status, { ...extraHeaders, "Content-Type": "text/plain", ...headers }).end(`${status}\n`);

  if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, { Allow: "GET, HEAD" });
  const path = resolvePath(mounts, request.url ?? "/");
  const file = path && (await findFile(path));
  if (!file) return refuse(404);

  const range = parseRange(request.headers.range, file.size);
  if (range === "unsatisfiable") return refuse(416, { "Content-Range": `bytes */${file.size}` });
  const { start, end } = range ?? { start: 0, end: file.size - 1 };
  response.writeHead(range ? 206 : 200, {
    ...extraHeaders,
    "Content-Type": MIME_TYPES[extname(file.path).toLowerCase()] ?? "application/octet-stream",
    "Content-Length": end - start + 1,
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache",
    ...(range ? { "Content-Range": `bytes ${start}-${end}/${file.size}` } : {}),
  });
  if (request.method === "HEAD" || file.size === 0) return response.end();
  // A reader that goes away in the middle is no error of ours.
  pipeline(createReadStream(file.path, { start, end }), response, () => {});
}

/**
 * @param {Readonly<Record<string, string>>} mounts
 * @param {string} url
 * @returns {string | null} a path inside a mount
 */
function resolvePath(mounts, url) {
  let pathname;
  try {
    pathname = decodeURIComponent(new URL(url, "http://localhost").pathname);
  } catch {
    return null;
  }
  const prefixes = Object.keys(mounts).sort((a, b) => b.length - a.length);
  const prefix = prefixes.find((candidate) => pathname.startsWith(candidate));
  if (!prefix || pathname.includes("\0")) return null;
  const dir = normalize(`${mounts[prefix]}${sep}`);
  const path = join(dir, pathname.slice(prefix.length));
  return path.startsWith(dir) ? path : null;
}

/** @param {string} path */
async function findFile(path) {
  const found = await stat(path).catch(() => null);
  if (found?.isFile()) return { path, size: found.size };
  if (!found?.isDirectory()) return null;
  const index = join(path, "index.html");
  const indexStat = await stat(index).catch(() => null);
  return indexStat?.isFile() ? { path: index, size: indexStat.size } : null;
}

/**
 * @param {string | undefined} header
 * @param {number} size
 * @returns {{ start: number, end: number } | "unsatisfiable" | null} null where the whole file is to be sent; `end` is the last byte
 */
function parseRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return null;
  if (match[1] === "") {
    const length = Math.min(Number(match[2]), size);
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size - 1 };
  }
  const start = Number(match[1]);
  const end = match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  return start >= size || end < start ? "unsatisfiable" : { start, end };
}
