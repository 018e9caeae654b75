import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

/** A local HTTP server for one test. */
export interface TestServer extends AsyncDisposable {
  /** Ends in a slash. */
  readonly url: string;
  /** Every request so far: path and Range header, in order. */
  readonly requests: readonly { readonly path: string; readonly range: string | undefined }[];
}

export async function startTestServer(listener: RequestListener): Promise<TestServer> {
  const requests: { path: string; range: string | undefined }[] = [];
  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? "", range: request.headers.range });
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/models/tiny/`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface ServeOptions {
  /** Answer Range requests with the whole file and status 200. */
  readonly ignoreRanges?: boolean;
  /** Send no Content-Length, and no total in Content-Range. */
  readonly hideSize?: boolean;
}

/** Serves files by the last segment of the path; others are 404. */
export function serveFiles(files: Readonly<Record<string, Uint8Array>>, options: ServeOptions = {}): RequestListener {
  return (request, response) => {
    const file = files[fileOf(request)];
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    const range = options.ignoreRanges ? null : /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const total = options.hideSize ? "*" : file.length;
    const start = range ? Number(range[1]) : 0;
    if (range && start >= file.length) {
      response.writeHead(416, { "content-range": `bytes */${total}` }).end();
      return;
    }
    const body = range ? file.subarray(start, Number(range[2]) + 1) : file;
    if (!options.hideSize) response.setHeader("content-length", body.length);
    if (range) response.setHeader("content-range", `bytes ${start}-${start + body.length - 1}/${total}`);
    response.writeHead(range ? 206 : 200).end(body);
  };
}

export function fileOf(request: IncomingMessage): string {
  return decodeURIComponent(request.url?.split("/").at(-1) ?? "");
}
