import type { CDPSession, Page } from "@playwright/test";

const INTERVAL_MS = 20;

type Send = (method: string, params?: object) => Promise<unknown>;

interface HeapUsage {
  readonly usedSize: number;
  readonly backingStorageSize: number;
}

/** JavaScript's memory of a page and its workers: objects, and the bytes of array buffers. */
export class HeapWatch {
  readonly #page: CDPSession;
  /** By session; the page's own is "". */
  readonly #sends = new Map<string, Send>();
  readonly #answers = new Map<number, (result: unknown) => void>();
  #nextId = 1;
  #peakBytes = 0;
  #isStopped = false;
  #watching: Promise<void> = Promise.resolve();

  static async start(page: Page): Promise<HeapWatch> {
    const watch = new HeapWatch(await page.context().newCDPSession(page));
    await watch.#attach("", (method, params) =>
      watch.#page.send(method as "Runtime.getHeapUsage", params as undefined),
    );
    watch.#watching = watch.#sample();
    return watch;
  }

  private constructor(page: CDPSession) {
    this.#page = page;
  }

  /** Threads that were watched so far, the page's included. */
  numThreads = 0;

  /** The most bytes that all threads together held at one time. */
  async stop(): Promise<number> {
    this.#isStopped = true;
    await this.#watching;
    await this.#page.detach();
    return this.#peakBytes;
  }

  async #attach(session: string, send: Send): Promise<void> {
    this.numThreads++;
    this.#sends.set(session, send);
    if (session === "") {
      this.#page.on("Target.attachedToTarget", ({ sessionId }) => {
        void this.#attach(sessionId, (method, params) => this.#sendToWorker(sessionId, method, params));
      });
      this.#page.on("Target.detachedFromTarget", ({ sessionId }) => this.#sends.delete(sessionId));
      this.#page.on("Target.receivedMessageFromTarget", ({ message }) => {
        const { id, result } = JSON.parse(message);
        this.#answers.get(id)?.(result);
        this.#answers.delete(id);
      });
      await send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
    }
  }

  async #sendToWorker(sessionId: string, method: string, params: object = {}): Promise<unknown> {
    const id = this.#nextId++;
    const answer = new Promise((resolve) => this.#answers.set(id, resolve));
    const message = JSON.stringify({ id, method, params });
    // A worker may end at any time.
    const sent = this.#page.send("Target.sendMessageToTarget", { sessionId, message }).then(
      () => true,
      () => false,
    );
    return (await sent) ? answer : null;
  }

  async #sample(): Promise<void> {
    while (!this.#isStopped) {
      const gone = new Promise<null>((resolve) => setTimeout(() => resolve(null), 2000));
      const usages = [...this.#sends.values()].map((send) => Promise.race([send("Runtime.getHeapUsage"), gone]));
      const bytes = (await Promise.all(usages)).map((usage) => {
        const { usedSize, backingStorageSize } = (usage ?? { usedSize: 0, backingStorageSize: 0 }) as HeapUsage;
        return usedSize + backingStorageSize;
      });
      this.#peakBytes = Math.max(
        this.#peakBytes,
        bytes.reduce((sum, one) => sum + one, 0),
      );
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
  }
}
