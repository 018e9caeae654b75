import type { LoadProgress } from "../protocol/messages";
import type { LogitsObserver } from "../runner/gpu-model-runner";
import type { DelayMap } from "../runner/staging-ring";
import type { StepObserver } from "../runner/step-trace";
import type { VerdictMemory } from "./device-verdict";
import type { LoadPart } from "./lazy-parts";

/** What a load takes from its caller. */
export interface LoadContext {
  readonly gpu: GPU;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
  readonly loadPart: LoadPart;
  /** Remembers the self-test's verdicts; left out, the device is not tested. */
  readonly verdicts?: VerdictMemory;
  /** Sees the logits of every step; for tests. */
  readonly observeLogits?: LogitsObserver;
  /** Holds back the map of every store; for tests. */
  readonly delayMap?: DelayMap;
  /** Sees every step being submitted and landing; for tests. */
  readonly observeSteps?: StepObserver;
}
