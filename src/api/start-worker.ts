import { PARTS } from "virtual:cairn-parts";
import type { PartName } from "../protocol/messages";
import { CairnError, reasonOf } from "../util/errors";

/**
 * Starts the engine's worker: from `workerUrl`, or from the script that the package carries, as a blob.
 * Throws `worker_failed` where the browser refuses at once (CSP, another origin); later failures are `error` events.
 */
export async function startWorker(workerUrl: string | URL | null): Promise<Worker> {
  return workerUrl === null ? startFromBlob() : construct(workerUrl);
}

/** The script of a lazy part, for a worker of the package's own script. */
export async function loadPartSource(name: PartName): Promise<string> {
  return (await PARTS[name]()).default;
}

async function startFromBlob(): Promise<Worker> {
  const { default: source } = await import("virtual:cairn-worker-source");
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const revoke = () => URL.revokeObjectURL(url);
  try {
    const worker = construct(url);
    worker.addEventListener("message", revoke, { once: true });
    worker.addEventListener("error", revoke, { once: true });
    return worker;
  } catch (error) {
    revoke();
    throw error;
  }
}

function construct(url: string | URL): Worker {
  try {
    return new Worker(url, { type: "module", name: "cairn-engine" });
  } catch (cause) {
    const reason = reasonOf(cause);
    const message = `The engine's worker could not be started: ${reason}`;
    throw new CairnError("worker_failed", message, { url: String(url), reason }, { cause });
  }
}
