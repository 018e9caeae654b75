import { type Remote, wrap } from "comlink";
import type { EngineInit } from "../protocol/messages";
import type { OffloadScenarios } from "./offload-scenarios";
import type { OffloadTrials } from "./offload-trials";
import type { SchedulerScenarios } from "./scheduler-scenarios";
import type { SchedulerWorker } from "./scheduler-worker";

declare global {
  interface Window {
    /** Each loads an engine in a worker, and sets what is below it. */
    openScenarios(init: EngineInit): Promise<void>;
    scenarios: Remote<SchedulerScenarios>;
    openOffload(init: EngineInit): Promise<void>;
    offload: Remote<OffloadScenarios>;
    openTrials(init: EngineInit): Promise<void>;
    /** Sets `trials` over the engine of `offload`. */
    tryOffload(): Promise<void>;
    trials: Remote<OffloadTrials>;
  }
}

const worker = wrap<SchedulerWorker>(new Worker(new URL("./scheduler-worker.ts", import.meta.url), { type: "module" }));

window.openScenarios = async (init) => {
  window.scenarios = await worker.open(init);
};
window.openOffload = async (init) => {
  window.offload = await worker.openOffload(init);
};
window.openTrials = async (init) => {
  window.trials = await worker.openTrials(init);
};
window.tryOffload = async () => {
  window.trials = await worker.tryOffload();
};
