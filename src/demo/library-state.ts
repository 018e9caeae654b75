import type { CachedModel, CairnError, MemoryPlan } from "../index";
import { DEFAULT_HUB_ENDPOINT } from "../util/hub";
import type { CuratedModel } from "./curated-models";
import type { HubAccess, Quantization, RemoteModel } from "./remote-model";

/** Something that is read from elsewhere. */
export type Reading<Value> =
  | { readonly status: "reading" }
  | { readonly status: "read"; readonly value: Value }
  | { readonly status: "failed"; readonly error: CairnError };

/** What becomes of a cached model that the reader wants to delete. */
export type Deletion =
  | { readonly key: string; readonly status: "asking" }
  | { readonly key: string; readonly status: "deleting" }
  | { readonly key: string; readonly status: "failed"; readonly error: CairnError };

export interface LibraryState {
  readonly curated: Reading<readonly CuratedModel[]>;
  readonly cached: Reading<readonly CachedModel[]>;
  readonly deletion: Deletion | null;
  readonly hub: HubAccess;
  /** The model that the reader looks at; null while the lists are shown. */
  readonly chosen: { readonly model: RemoteModel; readonly plan: Reading<MemoryPlan> } | null;
}

/** What the curated list proposes for a model; nothing is packed of one that is not in it. */
export function recommendedQuantization({ curated }: LibraryState, model: string): Quantization {
  const entries = curated.status === "read" ? curated.value : [];
  return entries.find(({ id }) => id === model)?.quantization ?? null;
}

/** The hub that a cached model came from: its key begins with the address of any but the usual one. */
export function endpointOf({ key, model, revision }: CachedModel): string {
  return key.slice(0, -`/${model}@${revision}`.length) || DEFAULT_HUB_ENDPOINT;
}

/** What this browser has of a model, if anything; a complete copy before an unfinished one. */
export function cachedCopy({ cached }: LibraryState, { model, revision, hub }: RemoteModel): CachedModel | null {
  if (cached.status !== "read") return null;
  const copies = cached.value.filter(
    (copy) =>
      copy.model === model &&
      (revision === null || copy.revision === revision) &&
      (copy.revision === null || endpointOf(copy) === hub.endpoint),
  );
  return copies.find((copy) => copy.isComplete) ?? copies[0] ?? null;
}
