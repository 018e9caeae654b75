import { proxy, type Remote, transfer, wrap } from "comlink";
import { installErrorTransfer } from "../protocol/comlink-errors";
import type { MemoryPlan } from "../protocol/memory-plan";
import {
  ENGINE_WORKER_NAME,
  type EngineInfo,
  type EngineInit,
  type EngineWorkerApi,
  type GenerateRequest,
  type LoadProgress,
} from "../protocol/messages";
import { CairnError } from "../util/errors";
import { abortedError, raceAbort } from "./abort";
import { Generation } from "./generation";
import { loadPartSource, startWorker } from "./start-worker";
import { Watchdog } from "./watchdog";

/** Time for the worker's script to arrive, be read, and answer; long, because the network may be slow. */
const IDENTIFY_TIMEOUT_MS = 10_000;

/** What a connection needs of a Worker, which may be one that it shares. */
export interface WorkerLike {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: object): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: object): void;
  /** Ends it for this page. */
  terminate(): void;
}

/** Something that waits for the worker, and is told when nothing more will come from it. */
interface Waiting {
  fail(error: CairnError): void;
}

/** The page's end of the thread boundary: owns the worker, knows who waits for it, notices when the worker dies or hangs. */
export class WorkerConnection {
  readonly #worker: WorkerLike;
  readonly #url: string | null;
  readonly #remote: Remote<EngineWorkerApi>;
  readonly #live = new Set<Waiting>();
  /** Runs while something waits. */
  readonly #watchdog: Watchdog;
  /** Set once the connection is of no more use: the worker died, or the engine was disposed. */
  #failure: CairnError | null = null;
  #disposal: Promise<void> | null = null;

  /** Starts a worker, unless the caller has aborted already. Throws `aborted` and what `start` throws. */
  static async open(
    workerUrl: string | URL | null,
    signal: AbortSignal | null,
    start: () => Promise<WorkerLike> = () => startWorker(workerUrl),
  ): Promise<WorkerConnection> {
    if (signal?.aborted) throw abortedError(signal.reason);
    return new WorkerConnection(await start(), workerUrl && String(workerUrl));
  }

  /** `url`: where the worker's script is, for errors; null where the package carries it. */
  constructor(worker: WorkerLike, url: string | null) {
    installErrorTransfer();
    this.#worker = worker;
    this.#url = url;
    this.#remote = wrap<EngineWorkerApi>(worker);
    this.#watchdog = new Watchdog(
      () => this.#remote.identify(),
      (seconds) => this.#die(`it did not answer for ${seconds} s`),
    );
    worker.addEventListener("error", (event) => {
      this.#die("message" in event && event.message ? String(event.message) : "it could not be loaded");
    });
  }

  /** Loads the engine. On any failure the worker is ended; an abort rejects at once and lets the worker clean up first. */
  init(
    init: EngineInit,
    onProgress: ((progress: LoadProgress) => void) | null,
    signal: AbortSignal | null,
  ): Promise<EngineInfo> {
    const progress = onProgress && detachedProxy(onProgress);
    return this.#begin((cancel) => this.#remote.init(init, progress, cancel, proxy(loadPartSource)), signal);
  }

  /** Tells what `init` would take. The worker is ended in any case; on an abort, when it has cleaned up. */
  async plan(init: EngineInit, signal: AbortSignal | null): Promise<MemoryPlan> {
    const plan = await this.#begin((cancel) => this.#remote.plan(init, cancel, proxy(loadPartSource)), signal);
    this.#worker.terminate();
    return plan;
  }

  async #begin<T>(call: (cancel: MessagePort) => Promise<T>, signal: AbortSignal | null): Promise<T> {
    const { port1, port2 } = new MessageChannel();
    const result = this.#identify().then(() => this.#await(call(transfer(port2, [port2]))));
    try {
      return await raceAbort(result, signal);
    } catch (error) {
      port1.postMessage(null);
      const terminate = () => this.#worker.terminate();
      result.then(terminate, terminate);
      throw error;
    } finally {
      const close = () => port1.close();
      result.then(close, close);
    }
  }

  /** Sends a request to the worker. Throws `aborted`, `disposed` or `worker_failed` before anything is sent. */
  generate(request: GenerateRequest, signal: AbortSignal | null): Generation {
    if (this.#failure) throw this.#failure;
    if (signal?.aborted) throw abortedError(signal.reason);
    const { port1, port2 } = new MessageChannel();
    const generation = new Generation(port1, signal, (ended) => this.#remove(ended));
    this.#add(generation);
    this.#remote.generate(request, transfer(port2, [port2])).catch((error) => generation.fail(error));
    return generation;
  }

  /**
   * Calls the loaded engine. Rejects with what the worker threw, and with `disposed` or `worker_failed` where the connection
   * ended before the answer.
   */
  async call<T>(start: (worker: EngineWorkerApi) => Promise<T>): Promise<T> {
    if (this.#failure) throw this.#failure;
    return this.#await(start(this.#remote));
  }

  /** Ends live generations and calls with `disposed`, frees the device, ends the worker. The second call waits for the first. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose(): Promise<void> {
    const isDead = this.#failure !== null;
    this.#end(new CairnError("disposed", "The engine was disposed."));
    try {
      if (!isDead) await this.#await(this.#remote.dispose());
    } finally {
      this.#worker.terminate();
    }
  }

  /** Rejects with `worker_failed` unless the worker runs the engine's script: any other would leave `init` waiting. */
  async #identify(): Promise<void> {
    // A worker that died before it was asked would never answer.
    if (this.#failure) throw this.#failure;
    const giveUp = () => this.#die(`its script did not answer within ${IDENTIFY_TIMEOUT_MS / 1000} s`);
    const timer = setTimeout(giveUp, IDENTIFY_TIMEOUT_MS);
    try {
      const name = await this.#await(this.#remote.identify().catch(() => null));
      if (name !== ENGINE_WORKER_NAME) this.#die("its script is not that of Cairn's worker");
      if (this.#failure) throw this.#failure;
    } finally {
      clearTimeout(timer);
    }
  }

  #die(reason: string): void {
    const place = this.#url === null ? "" : ` (${this.#url})`;
    const data = { reason, ...(this.#url === null ? {} : { url: this.#url }) };
    const error = new CairnError("worker_failed", `The engine's worker${place} failed: ${reason}.`, data);
    this.#end(error);
    this.#worker.terminate();
  }

  /** What waits fails with the error; what comes later, with the first one. */
  #end(error: CairnError): void {
    this.#failure ??= error;
    for (const waiting of this.#live) {
      this.#remove(waiting);
      waiting.fail(error);
    }
  }

  /** The call's result, unless the connection ends before it: a worker that is gone never answers. */
  #await<T>(call: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { fail: reject };
      this.#add(waiting);
      call.then(resolve, reject).finally(() => this.#remove(waiting));
    });
  }

  #add(waiting: Waiting): void {
    this.#live.add(waiting);
    this.#watchdog.start();
  }

  #remove(waiting: Waiting): void {
    this.#live.delete(waiting);
    if (this.#live.size === 0) this.#watchdog.stop();
  }
}

/** A callback for the worker; what it throws surfaces on the page as an uncaught error, as in an event listener. */
function detachedProxy<T>(callback: (value: T) => void): (value: T) => void {
  return proxy((value: T) => queueMicrotask(() => callback(value)));
}
