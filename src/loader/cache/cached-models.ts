import type { CachedModel } from "../../protocol/cached-model";
import { CairnError } from "../../util/errors";
import { openCacheApi } from "./cache-api-store";
import { type KeptModel, readManifests } from "./manifest";
import { useLock } from "./model-locks";
import type { StoreRoot } from "./model-store";
import { openOpfs } from "./opfs-store";

/** See api/cached-models.ts. */
export async function listCachedModels(): Promise<CachedModel[]> {
  const kept = await keptModels();
  const models = await Promise.all(kept.map(describe));
  return models.sort((a, b) => b.lastUsedMs - a.lastUsedMs);
}

/** See api/cached-models.ts. */
export async function deleteCachedModel(key: string): Promise<void> {
  const kept = (await keptModels()).filter(({ manifest }) => manifest.key === key);
  if (kept.length === 0) {
    throw new CairnError("invalid_request", `No model with the key ${JSON.stringify(key)} is kept here.`, {
      param: "key",
    });
  }
  await navigator.locks.request(useLock(key), { ifAvailable: true }, async (lock) => {
    if (!lock) throw new CairnError("busy", `"${key}" is being loaded; it can be deleted after that.`, { key });
    for (const { root, folder } of kept) await root.remove(folder);
  });
}

async function keptModels(): Promise<(KeptModel & { readonly root: StoreRoot })[]> {
  const kept = [];
  for (const root of [await openOpfs(), await openCacheApi()]) {
    if (root) kept.push(...(await readManifests(root)).map((model) => ({ ...model, root })));
  }
  return kept;
}

async function describe({ store, manifest }: KeptModel): Promise<CachedModel> {
  const { key, model, revision, isComplete, lastUsedMs, files } = manifest;
  let bytes = 0;
  let totalBytes = 0;
  for (const [file, { size }] of Object.entries(files)) {
    const numStored = await store.size(file);
    bytes += numStored;
    totalBytes += size ?? numStored;
  }
  return { key, model, revision, bytes, totalBytes, isComplete, lastUsedMs };
}
