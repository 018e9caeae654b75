import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeLocks } from "../offload/storage/tabs.fixture";
import { takePresence } from "../protocol/presence";
import { FAKE_INFO, FAKE_PLAN, FakeEngine } from "../testing/fake-engine-worker";
import { CairnError } from "../util/errors";
import { EngineService } from "../worker/engine-service";
import { serveClient } from "../worker/serve-client";
import { SharedEngine } from "../worker/shared-engine";
import { createEngine } from "./create-engine";
import type { CreateEngineOptions } from "./engine-options";

/** A browser's SharedWorkers, by name; each has the real service of shared engines. */
class FakeBrowser {
  readonly locks = new FakeLocks();
  readonly engines = new Map<string, SharedEngine<object>>();
  /** Those of all engines, in the order of their loads. */
  readonly loaded: FakeEngine[] = [];
  readonly workers: EventTarget[] = [];
  readonly #ports: MessagePort[] = [];
  load = async (): Promise<FakeEngine> => new FakeEngine();
  readonly presence = takePresence(this.locks);

  /** The port of a page that connects. */
  connect(name: string): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#ports.push(port1, port2);
    void this.#serve(name, port2);
    return port1;
  }

  close(): void {
    for (const port of this.#ports) port.close();
  }

  async #serve(name: string, port: MessagePort): Promise<void> {
    const shared = this.engines.get(name) ?? new SharedEngine<object>(() => this.#load());
    this.engines.set(name, shared);
    const service = new EngineService({ gpu: {}, load: shared.load, plan: async () => FAKE_PLAN });
    const { greeting } = await this.presence;
    serveClient(port, service, greeting, this.locks);
  }

  async #load(): Promise<FakeEngine> {
    const engine = await this.load();
    this.loaded.push(engine);
    return engine;
  }
}

let browser: FakeBrowser;

beforeEach(() => {
  browser = new FakeBrowser();
  vi.doMock("virtual:cairn-build", () => ({ default: "a build" }));
  vi.stubGlobal("navigator", { locks: browser.locks });
  vi.stubGlobal(
    "SharedWorker",
    class extends EventTarget {
      readonly port: MessagePort;
      constructor(_url: string | URL, { name }: WorkerOptions) {
        super();
        this.port = browser.connect(String(name));
        browser.workers.push(this);
      }
    },
  );
});

afterEach(() => {
  vi.doUnmock("virtual:cairn-build");
  vi.unstubAllGlobals();
  browser.close();
});

const create = (options: Partial<CreateEngineOptions> = {}) =>
  createEngine({ model: "https://models.test/tiny/", workerUrl: "/worker.js", shared: true, ...options });

describe("createEngine with shared", () => {
  it("gives all who ask for the same the one engine, which the last one frees", async () => {
    const [one, two] = await Promise.all([create(), create()]);
    expect([one.info, two.info]).toEqual([FAKE_INFO, FAKE_INFO]);
    expect(browser.loaded).toHaveLength(1);
    const [engine] = browser.loaded;
    const answer = one.completions.create({ prompt: "a" });
    const rejection = expect(answer).rejects.toMatchObject({ code: "disposed" });
    await vi.waitFor(() => expect(engine.requests).toHaveLength(1));
    await one.dispose();
    await rejection;
    await expect(one.kv.stats()).rejects.toMatchObject({ code: "disposed" });
    await two.kv.clear({ tiers: ["gpu"] });
    expect([engine.cleared, engine.numDisposals]).toEqual([[["gpu"]], 0]);
    await two.dispose();
    expect(engine.numDisposals).toBe(1);
    expect(browser.locks.awaited).toEqual([]);
    await create();
    expect([browser.engines.size, browser.loaded.length]).toEqual([1, 2]);
  });

  it("gives another to whoever asks for another", async () => {
    await create();
    await create({ kvDtype: "f32" });
    await create({ model: "https://models.test/other/" });
    expect([browser.engines.size, browser.loaded.length]).toEqual([3, 3]);
  });

  it("leaves when the load fails or is aborted, so that nobody is taken for there", async () => {
    const { lockName } = (await browser.presence).greeting;
    const hasLeft = () => vi.waitFor(() => expect(browser.locks.held).toEqual([lockName]));
    browser.load = () => Promise.reject(new CairnError("tensor_missing", "none", { tensor: "a" }));
    await expect(create()).rejects.toMatchObject({ code: "tensor_missing", data: { tensor: "a" } });
    await hasLeft();

    const abort = new AbortController();
    browser.load = () => {
      abort.abort();
      return new Promise(() => {});
    };
    await expect(create({ signal: abort.signal })).rejects.toMatchObject({ code: "aborted" });
    await hasLeft();
  });

  it("rejects with worker_failed when the worker's process is gone, also what is under way", async () => {
    const engine = await create();
    const answer = expect(engine.completions.create({ prompt: "a" })).rejects.toMatchObject({
      code: "worker_failed",
      data: { url: "/worker.js", reason: expect.stringContaining("gone") },
    });
    (await browser.presence).release();
    await answer;
    await expect(engine.kv.stats()).rejects.toMatchObject({ code: "worker_failed" });
  });

  it("rejects with worker_failed where the script cannot be loaded", async () => {
    browser.load = () => new Promise(() => {});
    const creating = create();
    await vi.waitFor(() => expect(browser.workers).toHaveLength(1));
    browser.workers[0].dispatchEvent(new Event("error"));
    await expect(creating).rejects.toMatchObject({ code: "worker_failed", data: { url: "/worker.js" } });
  });

  it("rejects with worker_failed where there are no shared workers, or the page's policy forbids it", async () => {
    class Refused {
      constructor() {
        throw new DOMException("refused by the policy", "SecurityError");
      }
    }
    for (const [stub, reason] of [
      [undefined, "no SharedWorker"],
      [Refused, "refused by the policy"],
    ] as const) {
      vi.stubGlobal("SharedWorker", stub);
      await expect(create()).rejects.toMatchObject({
        code: "worker_failed",
        data: { url: "/worker.js", reason: expect.stringContaining(reason) },
      });
    }
    expect(browser.locks.held).toEqual([(await browser.presence).greeting.lockName]);
  });

  it.each([
    [{ workerUrl: null }, "workerUrl", /blob/],
    [{ model: [new File([], "config.json")] }, "shared", /files/],
    [{ shared: "yes" }, "shared", /true or false/],
  ])("refuses %j, naming %s", async (options, param, message) => {
    const expected = { code: "invalid_request", data: { param }, message: expect.stringMatching(message) };
    await expect(create(options as object)).rejects.toMatchObject(expected);
    expect(browser.workers).toEqual([]);
  });
});
