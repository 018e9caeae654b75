import type { LazyParts, LoadPart } from "../engine/lazy-parts";
import { openStorage } from "../offload/storage/open-storage";
import { Grammars } from "../sampling/grammar/grammars";
import { BUNDLED_PARTS } from "../worker/bundled-parts";

/** Tests of storage bring a store of their own: no other is to find what one before it has left. */
const storage = {
  openStorage,
  connect() {
    throw new Error("there is no store");
  },
};
/** XGrammar afresh each time, as a worker has it; only in Node. */
const grammar: LazyParts["grammar"] = async (vocabulary) => {
  const { loadXGrammar } = await import("./xgrammar");
  return Grammars.create(loadXGrammar(), vocabulary);
};
const PARTS: LazyParts = { ...BUNDLED_PARTS, storage, grammar };

export const loadPart: LoadPart = async (name) => PARTS[name];
