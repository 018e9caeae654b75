import { CairnError } from "../util/errors";
import type { FileSource, OpenedFile, OpenOptions } from "./file-source";
import { throwIfAborted, toReadError } from "./read-errors";

/** Static hosts answer 403 for an unknown key where listing is not allowed. */
const MISSING_STATUSES: readonly number[] = [403, 404, 410];

/** Model files below a base URL that ends in a slash. */
export class UrlSource implements FileSource {
  readonly modelId: string;
  readonly #baseUrl: string;

  constructor(baseUrl: string) {
    if (!URL.canParse(baseUrl) || !baseUrl.endsWith("/")) {
      throw new CairnError("invalid_request", `The model's URL must be absolute and end in "/": "${baseUrl}".`, {
        param: "model",
        value: baseUrl,
      });
    }
    this.#baseUrl = baseUrl;
    this.modelId = modelIdOf(new URL(baseUrl));
  }

  async open(file: string, { range, signal }: OpenOptions): Promise<OpenedFile> {
    throwIfAborted(signal);
    const url = new URL(encodeURIComponent(file), this.#baseUrl);
    const headers: HeadersInit = range ? { range: `bytes=${range.start}-${range.end - 1}` } : {};
    let response: Response;
    try {
      response = await fetch(url, { headers, signal });
    } catch (thrown) {
      throw toReadError(thrown, file, signal);
    }
    const refusal = refusalOf(response, file, url);
    if (refusal) {
      // The answer's text is of no use; its connection is.
      await response.body?.cancel().catch(() => undefined);
      if (range && response.status === 416) return openedEmpty(range.start);
      throw refusal;
    }
    return openedResponse(response, range?.start ?? 0);
  }
}

function modelIdOf(url: URL): string {
  // A hub's file URLs end in .../owner/name/resolve/<revision>/.
  const path = url.pathname.replace(/\/resolve\/[^/]+\/$/, "/");
  const segment = path.split("/").filter(Boolean).at(-1);
  return segment ? decodeURIComponent(segment) : url.host;
}

function refusalOf(response: Response, file: string, url: URL): CairnError | null {
  const { status } = response;
  const data = { file, status };
  if (MISSING_STATUSES.includes(status)) {
    return new CairnError("model_file_missing", `"${file}" is not at ${url} (HTTP ${status}).`, data);
  }
  if (!response.ok) return new CairnError("network", `${url} answered HTTP ${status}.`, data);
  // Development servers answer an unknown path with the app's page and status 200.
  if (response.headers.get("content-type")?.includes("text/html")) {
    return new CairnError("model_file_missing", `"${file}" is not at ${url}: the server sent an HTML page.`, data);
  }
  return null;
}

function openedResponse(response: Response, rangeStart: number): OpenedFile {
  const body = response.body ?? emptyBody();
  if (response.status === 206) {
    // Content-Range may be hidden from other origins; the range is then taken to be the one asked for.
    const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
    const totalBytes = match && match[2] !== "*" ? Number(match[2]) : null;
    return { totalBytes, bodyOffset: match ? Number(match[1]) : rangeStart, body };
  }
  // With a content encoding, Content-Length counts compressed bytes.
  const length = response.headers.has("content-encoding") ? null : response.headers.get("content-length");
  return { totalBytes: length === null ? null : Number(length), bodyOffset: 0, body };
}

/** A range that starts at or after the end of the file. */
function openedEmpty(start: number): OpenedFile {
  return { totalBytes: null, bodyOffset: start, body: emptyBody() };
}

function emptyBody(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() });
}
