import { DEFAULT_RETRY, type RetryPolicy } from "../remote/fetch-retrying";
import { openCacheApi } from "./cache-api-store";
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

/** This worker's. */
export function browserEnvironment(loadDownloader: () => Promise<Downloader>): CacheEnvironment {
  const { storage, locks } = globalThis.navigator ?? {};
  return {
    openRoot: async () => (canWriteOpfs() ? await openOpfs() : null) ?? openCacheApi(),
    freeBytes: async () => {
      const { quota, usage } = (await storage?.estimate?.().catch(() => null)) ?? {};
      return quota === undefined || usage === undefined ? null : quota - usage;
    },
    locks: locks ?? null,
    retry: DEFAULT_RETRY,
    loadDownloader,
  };
}
