import { expose } from "comlink";
import { loadEngine } from "../engine/load-engine";
import { planMemory } from "../engine/plan-memory";
import { installErrorTransfer } from "../protocol/comlink-errors";
import type { SelfTestSource } from "../protocol/messages";
import type { JudgeDevice } from "../runner/self-test/judge-device";
import { EngineService } from "./engine-service";

/** Makes this thread the engine's worker. `loadSelfTest` is given what the page passed to `init`. */
export function serveEngine(loadSelfTest: (source: SelfTestSource | null) => Promise<JudgeDevice>): void {
  installErrorTransfer();
  expose(
    new EngineService({
      // The types promise `gpu`; browsers without WebGPU do not.
      gpu: navigator.gpu ?? null,
      load: (init, { selfTestSource, ...context }) =>
        loadEngine(init, { ...context, loadSelfTest: () => loadSelfTest(selfTestSource) }),
      plan: planMemory,
    }),
  );
}
