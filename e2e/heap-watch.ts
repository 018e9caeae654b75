import type { CDPSession, Page } from "@playwright/test";

const INTERVAL_MS = 20;

type Send = () => Promise<unknown>;

interface HeapUsage {
  readonly usedSize: number;
  readonly backingStorageSize: number;
}

const NOTHING: HeapUsage = { usedSize: 0, backingStorageSize: 0 };

/** JavaScript's memory of a page and its workers: objects, and the bytes of array buffers. */
export class HeapWatch {
  readonly #page: CDPSession;
  /** One a thread that lives. */
  readonly #sends = new Map<string, Send>();
  readonly #answers = new Map<number, (result: unknown) => void>();
  #nextId = 1;
  #numThreads = 1;
  #peakBytes = 0;
  #isStopped = false;
  #watching: Promise<void> = Promise.resolve();

  static async start(page: Page): Promise<HeapWatch> {
    const watch = new HeapWatch(await page.context().newCDPSession(page));
    await watch.#watch();
    return watch;
  }

  private constructor(page: CDPSession) {
    this.#page = page;
  }

  /** `peakBytes`: the most that all threads together held at one time. `numThreads`: the page and the workers that it started. */
  async stop(): Promise<{ peakBytes: number; numThreads: number }> {
    this.#isStopped = true;
    await this.#watching;
    await this.#page.detach();
    return { peakBytes: this.#peakBytes, numThreads: this.#numThreads };
  }

  async #watch(): Promise<void> {
    this.#sends.set("page", () => this.#page.send("Runtime.getHeapUsage"));
    this.#page.on("Target.attachedToTarget", ({ sessionId }) => {
      this.#numThreads++;
      this.#sends.set(sessionId, () => this.#askWorker(sessionId, "Runtime.getHeapUsage"));
    });
    this.#page.on("Target.detachedFromTarget", ({ sessionId }) => this.#sends.delete(sessionId));
    this.#page.on("Target.receivedMessageFromTarget", ({ message }) => {
      const { id, result } = JSON.parse(message);
      this.#answers.get(id)?.(result);
      this.#answers.delete(id);
    });
    const attach = { autoAttach: true, waitForDebuggerOnStart: false, flatten: false };
    await this.#page.send("Target.setAutoAttach", attach);
    this.#watching = this.#sample();
  }

  /** Null for a worker that is gone. */
  async #askWorker(sessionId: string, method: string): Promise<unknown> {
    const id = this.#nextId++;
    const answer = new Promise((resolve) => this.#answers.set(id, resolve));
    const message = JSON.stringify({ id, method });
    const sent = this.#page.send("Target.sendMessageToTarget", { sessionId, message });
    return sent.then(
      () => answer,
      () => null,
    );
  }

  async #sample(): Promise<void> {
    while (!this.#isStopped) {
      // A worker that ends with a question open never answers it.
      const late = pause(2000, null);
      const usages = await Promise.all([...this.#sends.values()].map((send) => Promise.race([send(), late])));
      const bytes = usages.map((usage) => {
        const { usedSize, backingStorageSize } = (usage ?? NOTHING) as HeapUsage;
        return usedSize + backingStorageSize;
      });
      this.#peakBytes = Math.max(
        this.#peakBytes,
        bytes.reduce((sum, one) => sum + one, 0),
      );
      await pause(INTERVAL_MS, null);
    }
  }
}

function pause<T>(ms: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(() => resolve(value), ms));
}
