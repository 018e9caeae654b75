import type { LoadPart } from "../engine/lazy-parts";
import { installErrorTransfer } from "../protocol/comlink-errors";
import type { PartSource } from "../protocol/messages";
import { takePresence } from "../protocol/presence";
import { EngineService } from "./engine-service";
import { serveClient } from "./serve-client";
import { engineOptions } from "./serve-engine";
import { SharedEngine } from "./shared-engine";

/** Makes this thread, a SharedWorker, the engine of all pages that connect to it; see serveEngine. */
export function serveSharedEngine(partsFrom: (source: PartSource | null) => LoadPart): void {
  installErrorTransfer();
  const { locks } = navigator;
  const presence = takePresence(locks);
  const options = engineOptions(partsFrom);
  const { load } = new SharedEngine(options.load);
  addEventListener("connect", async (event) => {
    const [port] = (event as MessageEvent).ports;
    const { greeting } = await presence;
    serveClient(port, new EngineService({ ...options, load }), greeting, locks);
  });
}
