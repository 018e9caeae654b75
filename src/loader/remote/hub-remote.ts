import type { ModelSource } from "../../protocol/messages";
import { CairnError } from "../../util/errors";
import { DEFAULT_HUB_ENDPOINT } from "../../util/hub";
import { isRecord } from "../../util/json";
import type { CacheEnvironment } from "../cache/cache-environment";
import { toReadError } from "../read-errors";
import { discardBody, fetchRetrying, type RetryPolicy } from "./fetch-retrying";
import type { HubPage } from "./hub-list";
import type { FileList, RememberedModel, Remote, RemoteFile, RemoteModel } from "./remote";

const COMMIT = /^[0-9a-f]{40}$/;
/** How long the hub may take to answer where an earlier answer is at hand. */
const IMPATIENT_MS = 5_000;

type HubSource = Extract<ModelSource, { readonly kind: "hub" }>;

/**
 * A model on a hub. Its token goes to the endpoint alone: no request names another origin, and `fetch` drops the header when it
 * follows a redirect to one.
 */
export class HubRemote implements Remote {
  readonly modelId: string;
  readonly #source: HubSource;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(source: HubSource) {
    this.modelId = source.repo;
    this.#source = source;
    this.#headers = source.token === null ? {} : { authorization: `Bearer ${source.token}` };
  }

  /** Throws `gated_model` { repo, status, hasToken }, `model_file_missing` { repo, revision, status }, `network`, `aborted`. */
  async find(
    remembered: readonly RememberedModel[],
    { retry, loadDownloader }: CacheEnvironment,
    signal?: AbortSignal,
  ): Promise<RemoteModel> {
    const { repo, revision: ref } = this.#source;
    const revision = COMMIT.test(ref) ? ref : await this.#resolveRef(remembered, retry, signal);
    const key = this.#keyOf(revision);
    const fetchList = async () => {
      const { fetchFileList } = await loadDownloader();
      const url = `${this.#apiUrl()}/tree/${revision}?recursive=true`;
      return fetchFileList(url, (page) => this.#fetchPage(page, retry, signal)).catch((thrown) => {
        throw toReadError(thrown, repo, signal);
      });
    };
    const list = remembered.find((model) => model.key === key)?.list ?? (await fetchList());
    return { key, model: repo, revision, ref, list, locate: (file) => this.#locate(revision, list, file) };
  }

  #keyOf(commit: string | null): string {
    const { repo, endpoint } = this.#source;
    return `${endpoint === DEFAULT_HUB_ENDPOINT ? "" : `${endpoint}/`}${repo}@${commit}`;
  }

  async #resolveRef(
    remembered: readonly RememberedModel[],
    retry: RetryPolicy,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const { repo, revision: ref } = this.#source;
    const [latest] = remembered
      .filter((model) => model.refs[ref] !== undefined && model.key === this.#keyOf(model.revision))
      .sort((a, b) => Number(b.isComplete) - Number(a.isComplete) || b.refs[ref] - a.refs[ref]);
    const patience = latest ? { ...retry, maxRetries: 0 } : retry;
    const deadline = latest && AbortSignal.timeout(IMPATIENT_MS);
    try {
      const url = `${this.#apiUrl()}/revision/${encodeURIComponent(ref)}`;
      const { json } = await this.#fetchPage(url, patience, signal, deadline);
      if (isRecord(json) && typeof json.sha === "string" && COMMIT.test(json.sha)) return json.sha;
      throw toReadError(new Error(`${url} names no commit`), repo, undefined);
    } catch (thrown) {
      if (latest?.revision && thrown instanceof CairnError && thrown.code === "network") return latest.revision;
      throw thrown;
    }
  }

  #apiUrl(): string {
    return `${this.#source.endpoint}/api/models/${this.#source.repo}`;
  }

  async #fetchPage(
    url: string,
    retry: RetryPolicy,
    signal: AbortSignal | undefined,
    deadline?: AbortSignal,
  ): Promise<HubPage> {
    const init = { headers: this.#headers };
    const either = signal && deadline ? AbortSignal.any([signal, deadline]) : (deadline ?? signal);
    const file = this.#source.repo;
    try {
      const response = await fetchRetrying(url, { init, file, retry, signal: either });
      const refusal = this.#refusalOf(response, null);
      if (refusal) {
        await discardBody(response);
        throw refusal;
      }
      const next = /<([^>]*)>\s*;\s*rel="next"/.exec(response.headers.get("link") ?? "")?.[1] ?? null;
      return { json: await response.json(), next };
    } catch (thrown) {
      const isLate = deadline?.aborted && !signal?.aborted;
      throw toReadError(isLate ? new Error(`${url} did not answer in time`) : thrown, file, signal);
    }
  }

  #locate(commit: string, list: FileList, file: string): RemoteFile {
    const { endpoint, repo } = this.#source;
    if (!Object.hasOwn(list, file)) {
      throw new CairnError("model_file_missing", `"${file}" is not among the files of ${repo}.`, { file });
    }
    return {
      file,
      url: `${endpoint}/${repo}/resolve/${commit}/${encodeURIComponent(file)}`,
      headers: this.#headers,
      ...list[file],
      refusalOf: (response) => this.#refusalOf(response, file),
    };
  }

  #refusalOf(response: Response, file: string | null): CairnError | null {
    const { repo, revision, token } = this.#source;
    const { status } = response;
    if (status === 401 || status === 403) {
      const hasToken = token !== null;
      const advice = hasToken
        ? "the token may not read it: accept its licence on its page with the token's account"
        : "accept its licence on its page, then pass hub.token, an access token of your account";
      const message = `${repo} is gated, private or does not exist (HTTP ${status}); if it is gated, ${advice}.`;
      return new CairnError("gated_model", message, { repo, status, hasToken });
    }
    if (status === 404) {
      const what = file === null ? "it has no such model or revision" : `"${file}" is not there`;
      const data = { ...(file !== null && { file }), repo, revision, status };
      return new CairnError("model_file_missing", `${repo} at "${revision}": ${what}.`, data);
    }
    const isPage = response.headers.get("content-type")?.includes("text/html");
    if (response.ok && !isPage) return null;
    const answer = isPage ? "an HTML page" : "an error";
    const data = { file: file ?? repo, status };
    return new CairnError("network", `${repo}: the hub sent ${answer} (HTTP ${status}).`, data);
  }
}
