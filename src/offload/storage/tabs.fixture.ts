import type { TabChannel, TabLocks, TabsOptions } from "./tabs";

interface Request {
  readonly hold: (lock: Lock | null) => unknown;
  readonly end: (result: unknown) => void;
}

/** Web Locks within a thread: exclusive, and first come, first served. */
export class FakeLocks implements TabLocks {
  /** By name: who holds it, then who waits. */
  readonly #queues = new Map<string, Request[]>();

  /** Names of the locks that somebody holds. */
  get held(): string[] {
    return [...this.#queues].flatMap(([name, { length }]) => (length > 0 ? [name] : []));
  }

  /** Names of the locks for which somebody waits. */
  get awaited(): string[] {
    return [...this.#queues].flatMap(([name, { length }]) => (length > 1 ? [name] : []));
  }

  request(name: string, { ifAvailable = false, signal }: LockOptions, hold: Request["hold"]): Promise<unknown> {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    if (ifAvailable && queue.length > 0) return Promise.resolve().then(() => hold(null));
    return new Promise((end, reject) => {
      const request = { hold, end };
      queue.push(request);
      signal?.addEventListener("abort", () => {
        const index = queue.indexOf(request);
        if (index < 1) return;
        queue.splice(index, 1);
        reject(signal.reason);
      });
      if (queue.length === 1) void this.#grant(name, queue);
    });
  }

  async #grant(name: string, queue: Request[]): Promise<void> {
    await Promise.resolve();
    queue[0].end(await queue[0].hold({ name, mode: "exclusive" }));
    queue.shift();
    if (queue.length > 0) void this.#grant(name, queue);
  }
}

/** BroadcastChannels within a thread. Each message comes as many turns of the event loop late as `delay` says, so that some overtake others. */
export class FakeChannels {
  delay = (): number => 1;
  /** All that was sent, in order. */
  readonly sent: unknown[] = [];
  readonly #channels = new Set<TabChannel & { readonly name: string }>();
  #numUnderWay = 0;

  readonly open = (name: string): TabChannel => {
    const channel = {
      name,
      onmessage: null,
      postMessage: (message: unknown) => this.#post(channel, structuredClone(message)),
      close: () => void this.#channels.delete(channel),
    } as TabChannel & { readonly name: string };
    this.#channels.add(channel);
    return channel;
  };

  /** Resolves when nothing is on its way. */
  async idle(): Promise<void> {
    while (this.#numUnderWay > 0) await turns(1);
  }

  #post(from: TabChannel & { readonly name: string }, message: unknown): void {
    this.sent.push(message);
    for (const channel of this.#channels) {
      if (channel !== from && channel.name === from.name) void this.#deliver(channel, message);
    }
  }

  async #deliver(channel: TabChannel, message: unknown): Promise<void> {
    this.#numUnderWay += 1;
    await turns(this.delay());
    this.#numUnderWay -= 1;
    channel.onmessage?.(new MessageEvent("message", { data: message }));
  }
}

/** What the tabs of a browser share. */
export class FakeBrowser {
  readonly locks = new FakeLocks();
  readonly channels = new FakeChannels();
  readonly tabsOptions: TabsOptions = { locks: this.locks, openChannel: this.channels.open };
}

/** Of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
