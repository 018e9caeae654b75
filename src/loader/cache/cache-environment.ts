import { DEFAULT_RETRY, type RetryPolicy } from "../remote/fetch-retrying";
import type { openCacheApi } from "./cache-api-store";
import type { Downloader } from "./downloader";
import type { StoreRoot } from "./model-store";
import { canWriteOpfs, openOpfs } from "./opfs-store";

/** What a CachedSource needs of the world around it. */
export interface CacheEnvironment {
  /** Where files are kept; null where nothing can be. */
  openRoot(): Promise<StoreRoot | null>;
  /** Bytes that may be stored yet; null where the browser does not tell. */
  freeBytes(): Promise<number | null>;
  /** Null where the browser has none. */
  readonly locks: LockManager | null;
  readonly retry: RetryPolicy;
  /** Called once something is not here. */
  readonly loadDownloader: () => Promise<Downloader>;
}

/** What of the loader is loaded where it is needed. */
export interface LoaderParts extends Pick<CacheEnvironment, "loadDownloader"> {
  readonly loadCacheApi: () => Promise<typeof openCacheApi>;
}

/** This worker's. */
export function browserEnvironment({ loadDownloader, loadCacheApi }: LoaderParts): CacheEnvironment {
  const { storage, locks } = globalThis.navigator ?? {};
  return {
    openRoot: async () => (canWriteOpfs() ? await openOpfs() : null) ?? (await loadCacheApi())(),
    freeBytes: async () => {
      const { quota, usage } = (await storage?.estimate?.().catch(() => null)) ?? {};
      return quota === undefined || usage === undefined ? null : quota - usage;
    },
    locks: locks ?? null,
    retry: DEFAULT_RETRY,
    loadDownloader,
  };
}
