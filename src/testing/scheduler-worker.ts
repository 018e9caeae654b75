import { expose, proxy } from "comlink";
import type { EngineInit } from "../protocol/messages";
import { OffloadScenarios } from "./offload-scenarios";
import { OffloadTrials } from "./offload-trials";
import { SchedulerScenarios } from "./scheduler-scenarios";

/** The test-only worker entry: the engine as users get it, with its scheduler and steps in sight. */
const schedulerWorker = {
  async open(init: EngineInit) {
    return proxy(await SchedulerScenarios.open(navigator.gpu, init));
  },
  async openOffload(init: EngineInit) {
    return proxy(await OffloadScenarios.open(navigator.gpu, init));
  },
  async openTrials(init: EngineInit) {
    return proxy(await OffloadTrials.open(navigator.gpu, init));
  },
};

export type SchedulerWorker = typeof schedulerWorker;

expose(schedulerWorker);
