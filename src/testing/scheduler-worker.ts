import { expose, proxy } from "comlink";
import type { EngineInit } from "../protocol/messages";
import { SchedulerScenarios } from "./scheduler-scenarios";

/** The test-only worker entry: the engine as users get it, with its scheduler and steps in sight. */
const schedulerWorker = {
  async open(init: EngineInit) {
    return proxy(await SchedulerScenarios.open(navigator.gpu, init));
  },
};

export type SchedulerWorker = typeof schedulerWorker;

expose(schedulerWorker);
