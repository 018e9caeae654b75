import { CairnError, createEngine } from "../index";
import type { LoadEngine } from "./chat-controller";
import { fetchCuratedModels } from "./curated-models";
import type { ModelLibrary } from "./library-controller";

/** Relative to the page, which may be served from any folder. */
const EMBEDDED_MODEL = "models/cairn-stories-3M/";

/** The page's only way to engines. */
export const loadEngine: LoadEngine = async (choice, options) => {
  if (choice.kind === "embedded") return createEngine({ model: EMBEDDED_MODEL, ...options });
  if (choice.kind === "remote") throw new CairnError("internal", "Not wired yet.");
  if (choice.files.length === 0) throw new CairnError("model_file_missing", "The folder is empty.");
  return createEngine({ model: choice.files, ...options });
};

/** The page's only way to what is on the hub and in this browser. */
export const library: ModelLibrary = {
  curated: fetchCuratedModels,
  plan: async () => {
    throw new CairnError("internal", "Not wired yet.");
  },
  list: async () => [],
  delete: async () => {},
};
