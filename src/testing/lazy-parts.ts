import type { LazyParts, LoadPart } from "../engine/lazy-parts";
import { openStorage } from "../offload/storage/open-storage";
import { Grammars } from "../sampling/grammar/grammars";
import { arc } from "../worker/parts/arc";
import { cacheApi } from "../worker/parts/cache-api";
import { download } from "../worker/parts/download";
import { int8 } from "../worker/parts/int8";
import { logitStages } from "../worker/parts/logit-stages";
import { profiler } from "../worker/parts/profiler";
import { quantization } from "../worker/parts/quantization";
import { selfTest } from "../worker/parts/self-test";

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
const PARTS: LazyParts = {
  selfTest,
  download,
  cacheApi,
  quantization,
  profiler,
  storage,
  logitStages,
  arc,
  int8,
  grammar,
};

export const loadPart: LoadPart = async (name) => PARTS[name];
