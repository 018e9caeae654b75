import type { LazyParts, LoadPart } from "../engine/lazy-parts";
import { profiler } from "../worker/parts/profiler";
import { quantization } from "../worker/parts/quantization";
import { selfTest } from "../worker/parts/self-test";

const PARTS: LazyParts = { selfTest, quantization, profiler };

export const loadPart: LoadPart = async (name) => PARTS[name];
