import type { EngineInit } from "../protocol/messages";
import type { EngineServiceOptions, LoadContext, ServedEngine } from "./engine-service";
import { SharedLoad } from "./shared-load";

/** One engine for all clients of a worker: loaded for the first, disposed of by the last, and loaded again for the next. */
export class SharedEngine<Device> {
  readonly #loadEngine: EngineServiceOptions<Device>["load"];
  #current: SharedLoad | null = null;
  /** Resolves when the GPU holds nothing of earlier loads. */
  #isFree: Promise<unknown> = Promise.resolve();
  #numClients = 0;

  /** All calls of `load` have one `init`, but for the order of what is in it. */
  constructor(loadEngine: EngineServiceOptions<Device>["load"]) {
    this.#loadEngine = loadEngine;
  }

  /** The engine as one client more has it. Rejects as loading does, and with the signal's reason. */
  readonly load = async (init: EngineInit, context: LoadContext<Device>): Promise<ServedEngine> => {
    context.signal.throwIfAborted();
    // Those who have it are told why by the engine itself.
    if (this.#current?.hasFailed) this.#current.end();
    this.#current ??= this.#begin(init, context.gpu);
    return this.#current.join(`${this.#numClients++}/`, context);
  };

  #begin(init: EngineInit, gpu: Device): SharedLoad {
    const isFree = this.#isFree;
    const load = new SharedLoad({
      load: async (context) => {
        await isFree;
        context.signal.throwIfAborted();
        return this.#loadEngine(init, { ...context, gpu });
      },
      onEnd: () => {
        if (this.#current === load) this.#current = null;
      },
    });
    this.#isFree = load.settled;
    return load;
  }
}
