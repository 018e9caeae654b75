import { expose, proxy } from "comlink";
import type { EngineInit } from "../protocol/messages";
import { OffloadRig } from "./offload-rig";
import { OffloadScenarios } from "./offload-scenarios";
import { OffloadTrials } from "./offload-trials";
import { SchedulerScenarios } from "./scheduler-scenarios";

let rig: OffloadRig | null = null;

/** The test-only worker entry: the engine as users get it, with its scheduler and steps in sight. */
const schedulerWorker = {
  async open(init: EngineInit) {
    return proxy(await SchedulerScenarios.open(navigator.gpu, init));
  },
  async openOffload(init: EngineInit) {
    rig = await OffloadRig.open(navigator.gpu, init);
    return proxy(OffloadScenarios.over(rig));
  },
  async openTrials(init: EngineInit) {
    return proxy(await OffloadTrials.open(navigator.gpu, init));
  },
  /** Over the engine of the last `openOffload`. */
  async tryOffload() {
    if (!rig) throw new Error("openOffload comes first");
    return proxy(OffloadTrials.over(rig));
  },
};

export type SchedulerWorker = typeof schedulerWorker;

expose(schedulerWorker);
