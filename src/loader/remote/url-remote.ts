import { CairnError } from "../../util/errors";
import type { Remote, RemoteFile, RemoteModel } from "./remote";

/** Static hosts answer 403 for an unknown key where listing is not allowed. */
const MISSING_STATUSES: readonly number[] = [403, 404, 410];

/** Model files below a base URL that ends in a slash. */
export class UrlRemote implements Remote {
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

  async find(): Promise<RemoteModel> {
    const baseUrl = this.#baseUrl;
    const locate = (file: string) => fileAt(new URL(encodeURIComponent(file), baseUrl).href, file);
    return { key: baseUrl, model: baseUrl, revision: null, ref: null, list: null, locate };
  }
}

function fileAt(url: string, file: string): RemoteFile {
  const refusalOf = (response: Response) => refusal(response, file, url);
  return { file, url, headers: {}, size: null, sha256: null, refusalOf };
}

function modelIdOf(url: URL): string {
  // A hub's file URLs end in .../owner/name/resolve/<revision>/.
  const path = url.pathname.replace(/\/resolve\/[^/]+\/$/, "/");
  const segment = path.split("/").filter(Boolean).at(-1);
  return segment ? decodeURIComponent(segment) : url.host;
}

function refusal(response: Response, file: string, url: string): CairnError | null {
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
