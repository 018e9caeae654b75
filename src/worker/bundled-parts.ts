import type { LazyParts } from "../engine/lazy-parts";
import { arc } from "./parts/arc";
import { cacheApi } from "./parts/cache-api";
import { download } from "./parts/download";
import { int8 } from "./parts/int8";
import { logitStages } from "./parts/logit-stages";
import { profiler } from "./parts/profiler";
import { quantization } from "./parts/quantization";
import { selfTest } from "./parts/self-test";

/** The parts that are the same wherever they are bundled: not storage, which needs a way to start a store, and not the large grammar. */
export const BUNDLED_PARTS: Omit<LazyParts, "storage" | "grammar"> = {
  selfTest,
  download,
  cacheApi,
  quantization,
  profiler,
  logitStages,
  arc,
  int8,
};
