import { expose } from "comlink";
import type { LoadPart } from "../engine/lazy-parts";
import { loadEngine } from "../engine/load-engine";
import { planMemory } from "../engine/plan-memory";
import { browserVerdicts } from "../engine/verdict-memory";
import { installErrorTransfer } from "../protocol/comlink-errors";
import type { PartSource } from "../protocol/messages";
import { EngineService, type EngineServiceOptions } from "./engine-service";

/** Makes this thread the engine's worker. `partsFrom` is given what the page passed to `init`. */
export function serveEngine(partsFrom: (source: PartSource | null) => LoadPart): void {
  installErrorTransfer();
  expose(new EngineService(engineOptions(partsFrom)));
}

/** Of an engine on this thread's GPU. */
export function engineOptions(partsFrom: (source: PartSource | null) => LoadPart): EngineServiceOptions<GPU> {
  return {
    // The types promise `gpu`; browsers without WebGPU do not.
    gpu: navigator.gpu ?? null,
    load: (init, { partSource, ...context }) =>
      loadEngine(init, { ...context, loadPart: partsFrom(partSource), verdicts: browserVerdicts }),
    plan: (init, { partSource, ...context }) => planMemory(init, { ...context, loadPart: partsFrom(partSource) }),
  };
}
