import { Profiler } from "../../gpu/profiler";
import { drawStep } from "../../runner/step-trace";

/** What `profile: true` needs. */
export const profiler = { Profiler, drawStep };
