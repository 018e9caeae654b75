import build from "virtual:cairn-build";
import type { EngineInit } from "../protocol/messages";
import { awaitAbsence, type Greeting, takePresence } from "../protocol/presence";
import { CairnError, reasonOf } from "../util/errors";
import { engineName } from "./engine-name";
import type { WorkerLike } from "./worker-connection";

/**
 * Connects to the engine that other tabs with the same `init` and package have, and starts its worker where there is none. Worker and
 * page know of each other that they are there, until `terminate`. Throws `worker_failed` where the browser refuses at once; later
 * failures are `error` events.
 */
export async function startSharedWorker(workerUrl: string | URL, init: EngineInit): Promise<WorkerLike> {
  try {
    if (!globalThis.SharedWorker) throw new Error("This browser has no SharedWorker.");
    const name = engineName(build, init);
    const { greeting, release } = await takePresence(navigator.locks);
    try {
      return connect(new SharedWorker(workerUrl, { type: "module", name }), greeting, release);
    } catch (error) {
      release();
      throw error;
    }
  } catch (cause) {
    const reason = reasonOf(cause);
    const message = `The shared worker could not be started: ${reason}`;
    throw new CairnError("worker_failed", message, { url: String(workerUrl), reason }, { cause });
  }
}

function connect(worker: SharedWorker, greeting: Greeting, release: () => void): WorkerLike {
  const { port } = worker;
  const ended = new AbortController();
  const onGone = () => worker.dispatchEvent(Object.assign(new Event("error"), { message: "its process is gone" }));
  // As the tab that started it may have been: a worker lives in some tab's process, and browsers tell nobody when that crashes.
  const onGreeting = ({ data }: MessageEvent<Greeting>) => {
    awaitAbsence(navigator.locks, data, ended.signal).then(onGone, () => {});
  };
  port.addEventListener("message", onGreeting, { once: true });
  port.start();
  port.postMessage(greeting);
  const targetOf = (type: string) => (type === "error" ? worker : port);
  return {
    postMessage: (message, transfer = []) => port.postMessage(message, transfer),
    addEventListener: (type, listener, options) => targetOf(type).addEventListener(type, listener, options),
    removeEventListener: (type, listener, options) => targetOf(type).removeEventListener(type, listener, options),
    // The worker then closes the port.
    terminate() {
      ended.abort();
      release();
    },
  };
}
