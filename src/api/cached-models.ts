import type { CachedModel } from "../protocol/cached-model";

export type { CachedModel };

/** Models of which files are kept in this browser, for this page's origin, the last used first. Empty where nothing can be kept. */
export async function listCachedModels(): Promise<CachedModel[]> {
  return (await cachedModels()).listCachedModels();
}

/**
 * Removes a model's files from this browser; `key` is that of `listCachedModels`. Rejects with `busy` { key } while any tab
 * loads the model, `invalid_request` { param } where there is none with this key. A model that is loaded needs its files no more.
 */
export async function deleteCachedModel(key: string): Promise<void> {
  return (await cachedModels()).deleteCachedModel(key);
}

/** Loaded where it is needed: the worker has code of its own for the same files. */
function cachedModels() {
  return import("../loader/cache/cached-models");
}
