import type { ModelSource } from "../../protocol/messages";
import { CairnError } from "../../util/errors";
import { DEFAULT_HUB_ENDPOINT } from "../../util/hub";
import { isRecord } from "../../util/json";
import { PLAIN_FILE_NAME } from "../file-source";
import { toReadError } from "../read-errors";
import { discardBody, fetchRetrying, type RetryPolicy } from "./fetch-retrying";
import type { FileList, ListedFile, RememberedModel, Remote, RemoteFile, RemoteModel } from "./remote";

const COMMIT = /^[0-9a-f]{40}$/;
/** How long the hub may take to answer where an earlier answer is at hand. */
const IMPATIENT_MS = 5_000;
/** A thousand files a page. */
const MAX_LIST_PAGES = 100;

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
  async find(remembered: readonly RememberedModel[], retry: RetryPolicy, signal?: AbortSignal): Promise<RemoteModel> {
    const { repo, revision: ref } = this.#source;
    const revision = COMMIT.test(ref) ? ref : await this.#resolveRef(remembered, retry, signal);
    const key = this.#keyOf(revision);
    const known = remembered.find((model) => model.key === key)?.list;
    const list = known ?? (await this.#fetchList(revision, retry, signal));
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
    const { revision: ref } = this.#source;
    const [latest] = remembered
      .filter((model) => model.refs[ref] !== undefined && model.key === this.#keyOf(model.revision))
      .sort((a, b) => Number(b.isComplete) - Number(a.isComplete) || b.refs[ref] - a.refs[ref]);
    const patience = latest ? { ...retry, maxRetries: 0 } : retry;
    const deadline = latest && AbortSignal.timeout(IMPATIENT_MS);
    try {
      const url = `${this.#apiUrl()}/revision/${encodeURIComponent(ref)}`;
      const { json } = await this.#fetchJson(url, patience, signal, deadline);
      if (isRecord(json) && typeof json.sha === "string" && COMMIT.test(json.sha)) return json.sha;
      throw this.#network(`${url} names no commit`);
    } catch (thrown) {
      if (latest?.revision && thrown instanceof CairnError && thrown.code === "network") return latest.revision;
      throw thrown;
    }
  }

  async #fetchList(commit: string, retry: RetryPolicy, signal: AbortSignal | undefined): Promise<FileList> {
    const list: Record<string, ListedFile> = {};
    const url = new URL(`${this.#apiUrl()}/tree/${commit}`);
    url.search = "?recursive=true";
    for (let numPages = 0; numPages < MAX_LIST_PAGES; numPages++) {
      const { json, next } = await this.#fetchJson(url.href, retry, signal);
      if (!Array.isArray(json)) throw this.#network(`${url.href} is not a list`);
      for (const entry of json) addListed(list, entry);
      if (next === null) return list;
      // Only the cursor counts: a link to another host is not followed.
      url.search = new URL(next, url).search;
    }
    throw this.#network(`the list of files has more than ${MAX_LIST_PAGES} pages`);
  }

  #apiUrl(): string {
    return `${this.#source.endpoint}/api/models/${this.#source.repo}`;
  }

  async #fetchJson(
    url: string,
    retry: RetryPolicy,
    signal: AbortSignal | undefined,
    deadline?: AbortSignal,
  ): Promise<{ readonly json: unknown; readonly next: string | null }> {
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
      if (deadline?.aborted && !signal?.aborted) throw this.#network(`${url} did not answer in time`);
      throw toReadError(thrown, file, signal);
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

  #network(reason: string): CairnError {
    return new CairnError("network", `${this.#source.repo}: ${reason}.`, { file: this.#source.repo, reason });
  }
}

/** Files in folders, and whatever else has no plain name, are none of a model's. */
function addListed(list: Record<string, ListedFile>, entry: unknown): void {
  if (!isRecord(entry) || entry.type !== "file") return;
  const { path, size, lfs } = entry;
  if (typeof path !== "string" || !PLAIN_FILE_NAME.test(path) || !Number.isSafeInteger(size)) return;
  const oid = isRecord(lfs) ? lfs.oid : null;
  list[path] = { size: Number(size), sha256: typeof oid === "string" && /^[0-9a-f]{64}$/.test(oid) ? oid : null };
}
