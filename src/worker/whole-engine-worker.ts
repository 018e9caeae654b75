// The worker as a file of its own, for `workerUrl`: with all its parts.
import type { LazyParts } from "../engine/lazy-parts";
import { profiler } from "./parts/profiler";
import { quantization } from "./parts/quantization";
import { selfTest } from "./parts/self-test";
import { serveEngine } from "./serve-engine";

const PARTS: LazyParts = { selfTest, quantization, profiler };

serveEngine(() => async (name) => PARTS[name]);
