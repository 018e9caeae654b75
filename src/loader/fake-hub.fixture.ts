import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What an answer does in place of the right one. */
export interface Fault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent instead of the file; announced as such. */
  readonly body?: Uint8Array | string;
  /** The connection breaks after so many bytes of the body. */
  readonly cutAt?: number;
  /** Nothing more comes after so many bytes of the body. */
  readonly holdAt?: number;
  /** Send the whole file whatever range was asked for. */
  readonly ignoreRange?: boolean;
}

export interface SeenRequest {
  readonly host: "hub" | "cdn";
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface FakeHubOptions {
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Without it the files answer 401, with another one 403. */
  readonly token?: string;
  /** Entries in a page of the list. */
  readonly pageSize?: number;
}

export const REPO = "fake/tiny";

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "*, Authorization",
  "access-control-expose-headers": "*",
};

/**
 * A hub with one model, as the real one answers: a list with pages, commits, weights behind a redirect to a second host. What is
 * under `<endpoint>/plain/` is a folder of the same files as a static server has them.
 */
export class FakeHub implements AsyncDisposable {
  readonly requests: SeenRequest[] = [];
  /** Listed beside the files. */
  extraEntries: object[] = [];
  readonly #servers: Server[] = [];
  readonly #commits = new Map<string, Readonly<Record<string, Uint8Array>>>();
  readonly #faults: { readonly host: SeenRequest["host"]; readonly part: string; readonly fault: Fault }[] = [];
  readonly #options: FakeHubOptions;
  #head = "";
  #endpoint = "";
  #cdn = "";

  private constructor(options: FakeHubOptions) {
    this.#options = options;
    this.push(options.files);
  }

  static async start(options: FakeHubOptions): Promise<FakeHub> {
    const hub = new FakeHub(options);
    // Two ports of one host are two origins.
    hub.#endpoint = await hub.#listen("hub", (request, response) => hub.#answerHub(request, response));
    hub.#cdn = await hub.#listen("cdn", (request, response) => hub.#answerCdn(request, response));
    return hub;
  }

  get endpoint(): string {
    return this.#endpoint;
  }

  /** The commit of "main". */
  get head(): string {
    return this.#head;
  }

  /** Makes a commit of these files. */
  push(files: Readonly<Record<string, Uint8Array>>): void {
    this.#head = createHash("sha1").update(String(this.#commits.size)).digest("hex");
    this.#commits.set(this.#head, files);
  }

  /** The next requests to `host` whose path contains `part` meet these faults, one each. */
  inject(host: SeenRequest["host"], part: string, ...faults: readonly Fault[]): void {
    this.#faults.push(...faults.map((fault) => ({ host, part, fault })));
  }

  /** Requests whose path contains `part`, preflights left out. */
  seen(part: string): SeenRequest[] {
    return this.requests.filter(({ path, method }) => path.includes(part) && method !== "OPTIONS");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** From now on nobody answers. */
  async close(): Promise<void> {
    for (const server of this.#servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  async #listen(
    host: SeenRequest["host"],
    answer: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<string> {
    const server = createServer((request, response) => {
      const { method = "", url = "", headers } = request;
      this.requests.push({ host, method, path: url, range: headers.range, authorization: headers.authorization });
      for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
      if (method === "OPTIONS") response.writeHead(204).end();
      else answer(request, response);
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  #takeFault(host: SeenRequest["host"], path: string): Fault | undefined {
    const index = this.#faults.findIndex((entry) => entry.host === host && path.includes(entry.part));
    return index < 0 ? undefined : this.#faults.splice(index, 1)[0].fault;
  }

  #answerHub(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "", this.#endpoint);
    const [, kind, ...rest] = url.pathname.split("/").map(decodeURIComponent);
    const fault = this.#takeFault("hub", url.pathname);
    if (fault) this.#send(request, response, new Uint8Array(), fault);
    else if (kind === "plain") this.#sendFile(request, response, this.#head, rest[0]);
    else if (kind === "api") this.#answerApi(response, url, rest);
    else this.#answerResolve(request, response, [kind, ...rest]);
  }

  #answerResolve(request: IncomingMessage, response: ServerResponse, path: readonly string[]): void {
    const [owner, name, resolve, commit, file] = path;
    const { token } = this.#options;
    const { authorization } = request.headers;
    if (`${owner}/${name}` !== REPO || resolve !== "resolve") end(response, 404);
    else if (token && authorization !== `Bearer ${token}`) end(response, authorization ? 403 : 401);
    else if (isLarge(file)) response.writeHead(302, { location: `${this.#cdn}/${commit}/${file}` }).end();
    else this.#sendFile(request, response, commit, file);
  }

  #answerApi(response: ServerResponse, url: URL, [, owner, name, what, at]: readonly string[]): void {
    const commit = at === "main" ? this.#head : at;
    const files = this.#commits.get(commit);
    if (`${owner}/${name}` !== REPO || !files) end(response, 404);
    else if (what === "revision") json(response, { sha: commit });
    else this.#answerTree(response, url, files);
  }

  #answerTree(response: ServerResponse, url: URL, files: Readonly<Record<string, Uint8Array>>): void {
    const entries = [...Object.entries(files).map(listEntry), ...this.extraEntries];
    const { pageSize = 1000 } = this.#options;
    const start = Number(url.searchParams.get("cursor") ?? 0);
    if (start + pageSize < entries.length) {
      url.searchParams.set("cursor", String(start + pageSize));
      response.setHeader("link", `<${url.href}>; rel="next"`);
    }
    json(response, entries.slice(start, start + pageSize));
  }

  #answerCdn(request: IncomingMessage, response: ServerResponse): void {
    const [, commit, file] = (request.url ?? "").split("/");
    this.#sendFile(request, response, commit, file, this.#takeFault("cdn", request.url ?? ""));
  }

  #sendFile(request: IncomingMessage, response: ServerResponse, commit: string, file: string, fault: Fault = {}): void {
    const bytes = this.#commits.get(commit)?.[file];
    if (bytes) this.#send(request, response, bytes, fault);
    else end(response, 404);
  }

  #send(request: IncomingMessage, response: ServerResponse, right: Uint8Array, fault: Fault): void {
    const { status, headers = {}, body = right, cutAt, holdAt, ignoreRange } = fault;
    const file = Buffer.from(body);
    const match = ignoreRange ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const start = Number(match?.[1] ?? 0);
    if (start > 0 && start >= file.length) {
      response.writeHead(416, { "content-range": `bytes */${file.length}` }).end();
      return;
    }
    const part = file.subarray(start, match?.[2] ? Number(match[2]) + 1 : undefined);
    if (match) response.setHeader("content-range", `bytes ${start}-${start + part.length - 1}/${file.length}`);
    response.writeHead(status ?? (match ? 206 : 200), {
      "content-length": part.length,
      etag: `"${createHash("sha256").update(file).digest("hex").slice(0, 16)}"`,
      ...headers,
    });
    if (request.method === "HEAD") response.end();
    else if (cutAt !== undefined)
      response.write(part.subarray(0, cutAt), () => setTimeout(() => response.destroy(), 20));
    else if (holdAt !== undefined) response.write(part.subarray(0, holdAt));
    else response.end(part);
  }
}

/** The hub keeps these as LFS objects: with a hash, and on another host. */
function isLarge(file: string): boolean {
  return file.endsWith(".safetensors");
}

function listEntry([path, bytes]: readonly [string, Uint8Array]): object {
  const size = bytes.length;
  const entry = { type: "file", path, size, oid: createHash("sha1").update(bytes).digest("hex") };
  return isLarge(path) ? { ...entry, lfs: { oid: createHash("sha256").update(bytes).digest("hex"), size } } : entry;
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function end(response: ServerResponse, status: number): void {
  response.writeHead(status, { "content-type": "text/plain" }).end(`${status}\n`);
}
