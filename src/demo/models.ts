import { CairnError, createEngine, deleteCachedModel, listCachedModels, planMemory } from "../index";
import { isHubId } from "../util/hub";
import type { LoadEngine } from "./chat-controller";
import { fetchCuratedModels } from "./curated-models";
import type { ModelLibrary } from "./library-controller";
import type { RemoteModel } from "./remote-model";

/** Relative to the page, which may be served from any folder. */
const EMBEDDED_MODEL = "models/cairn-stories-3M/";

/** The page's only way to engines. */
export const loadEngine: LoadEngine = async (choice, options) => {
  // What comes with the page is left to the browser's own cache.
  if (choice.kind === "embedded") return createEngine({ model: EMBEDDED_MODEL, cache: false, ...options });
  if (choice.kind === "remote") {
    return createEngine({ model: choice.remote.model, ...remoteOptions(choice.remote), ...options });
  }
  if (choice.files.length === 0) throw new CairnError("model_file_missing", "The folder is empty.");
  return createEngine({ model: choice.files, ...options });
};

/** The page's only way to what is on the hub and in this browser. */
export const library: ModelLibrary = {
  curated: fetchCuratedModels,
  plan: (remote, { isKept, signal }) => planMemory(remote.model, { ...remoteOptions(remote), cache: isKept, signal }),
  list: listCachedModels,
  delete: deleteCachedModel,
};

function remoteOptions({ model, revision, hub, quantization }: RemoteModel) {
  return {
    ...(isHubId(model) && { hub: { ...hub, revision } }),
    ...(quantization && { quantization }),
  };
}
