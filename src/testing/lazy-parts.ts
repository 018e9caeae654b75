import type { LazyParts, LoadPart } from "../engine/lazy-parts";
import { openStorage } from "../offload/storage/open-storage";
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
const PARTS: LazyParts = { selfTest, quantization, profiler, storage, logitStages };

export const loadPart: LoadPart = async (name) => PARTS[name];
