import { type Remote, wrap } from "comlink";
import type { EngineInit } from "../protocol/messages";
import type { SchedulerScenarios } from "./scheduler-scenarios";
import type { SchedulerWorker } from "./scheduler-worker";

declare global {
  interface Window {
    /** Loads an engine in a worker. */
    openScenarios(init: EngineInit): Promise<void>;
    /** Set once `openScenarios` resolved. */
    scenarios: Remote<SchedulerScenarios>;
  }
}

const worker = wrap<SchedulerWorker>(new Worker(new URL("./scheduler-worker.ts", import.meta.url), { type: "module" }));

window.openScenarios = async (init) => {
  window.scenarios = await worker.open(init);
};
