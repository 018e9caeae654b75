export { deleteCachedModel, listCachedModels } from "../loader/cache/cached-models";
export type { CachedModel } from "../protocol/cached-model";
