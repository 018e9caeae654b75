import { isRecord } from "../../util/json";
import { PLAIN_FILE_NAME } from "../file-source";
import type { FileList, ListedFile } from "./remote";

/** A thousand files a page. */
const MAX_LIST_PAGES = 100;

/** One answer of a hub's API, and where its next page is. */
export interface HubPage {
  readonly json: unknown;
  readonly next: string | null;
}

/** All files of a model, page by page from `firstUrl` on. Throws what `fetchPage` throws, and where a page is no list. */
export async function fetchFileList(firstUrl: string, fetchPage: (url: string) => Promise<HubPage>): Promise<FileList> {
  const list: Record<string, ListedFile> = {};
  const url = new URL(firstUrl);
  for (let numPages = 0; numPages < MAX_LIST_PAGES; numPages++) {
    const { json, next } = await fetchPage(url.href);
    if (!Array.isArray(json)) throw new Error(`${url.href} is not a list`);
    for (const entry of json) addListed(list, entry);
    if (next === null) return list;
    // Only the cursor counts: a link to another host is not followed.
    url.search = new URL(next, url).search;
  }
  throw new Error(`the list of files has more than ${MAX_LIST_PAGES} pages`);
}

/** Files in folders, and whatever else has no plain name, are none of a model's. */
function addListed(list: Record<string, ListedFile>, entry: unknown): void {
  if (!isRecord(entry) || entry.type !== "file") return;
  const { path, size, lfs } = entry;
  if (typeof path !== "string" || !PLAIN_FILE_NAME.test(path) || !Number.isSafeInteger(size)) return;
  const oid = isRecord(lfs) ? lfs.oid : null;
  list[path] = { size: Number(size), sha256: typeof oid === "string" && /^[0-9a-f]{64}$/.test(oid) ? oid : null };
}
