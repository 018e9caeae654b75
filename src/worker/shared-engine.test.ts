import { proxy, type Remote, transfer, wrap } from "comlink";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeLocks } from "../offload/storage/tabs.fixture";
import { installErrorTransfer } from "../protocol/comlink-errors";
import type {
  EngineInfo,
  EngineWorkerApi,
  GenerateEvent,
  GenerateRequest,
  LoadProgress,
  PartSource,
} from "../protocol/messages";
import { type Greeting, type PresenceLocks, takePresence } from "../protocol/presence";
import { FAKE_INFO, FAKE_PLAN, FakeEngine } from "../testing/fake-engine-worker";
import { CairnError } from "../util/errors";
import { EngineService, type LoadContext } from "./engine-service";
import { serveClient } from "./serve-client";
import { SharedEngine } from "./shared-engine";

const INIT = { model: { kind: "url", url: "https://models.test/tiny/" } } as const;
const REQUEST: GenerateRequest = {
  requestId: "r1",
  input: { kind: "text", text: "a" },
  maxTokens: 1,
  sampling: {},
  stop: [],
  priority: 0,
  usePrefixCache: true,
  cacheSalt: null,
};
const STARTED = { kind: "started", promptTokenIds: [3] } as const;

/** A load under way, to be ended by the test. */
interface FakeLoading {
  readonly context: LoadContext<object>;
  readonly succeed: (engine: FakeEngine) => void;
  readonly fail: (error: unknown) => void;
}

let locks: FakeLocks;
let loads: FakeLoading[];
let shared: SharedEngine<object>;
const ports: MessagePort[] = [];

beforeEach(() => {
  installErrorTransfer();
  locks = new FakeLocks();
  loads = [];
  shared = new SharedEngine<object>(
    (_, context) => new Promise((succeed, fail) => void loads.push({ context, succeed, fail })),
  );
});

afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

function channel(): MessageChannel {
  const made = new MessageChannel();
  ports.push(made.port1, made.port2);
  return made;
}

/** A page: the real service behind a real port, and a lock that goes when the page dies. */
class Client {
  readonly #remote: Remote<EngineWorkerApi>;
  readonly die: () => void;
  /** Resolves when the worker has given it up. */
  readonly isDropped: Promise<void>;

  static async connect(): Promise<Client> {
    const { greeting, release } = await takePresence(locks);
    return new Client(greeting, release);
  }

  constructor(greeting: Greeting, die: () => void, watchedBy: PresenceLocks = locks) {
    const { port1, port2 } = channel();
    const service = new EngineService({ gpu: {}, load: shared.load, plan: async () => FAKE_PLAN });
    this.isDropped = new Promise((resolve) => port1.addEventListener("close", () => resolve()));
    serveClient(port2, service, { lockName: "worker" }, watchedBy);
    port1.postMessage(greeting);
    this.#remote = wrap<EngineWorkerApi>(port1);
    this.die = die;
  }

  /** Resolves when the worker has taken what was sent so far. */
  async hasBeenHeard(): Promise<void> {
    await this.#remote.identify();
  }

  init(
    cancel: MessagePort | null = null,
    onProgress: ((progress: LoadProgress) => void) | null = null,
    partSource: PartSource = async () => "part",
  ): Promise<EngineInfo> {
    return this.#remote.init(
      INIT,
      onProgress && proxy(onProgress),
      cancel && transfer(cancel, [cancel]),
      proxy(partSource),
    );
  }

  /** The events of a request with the id that all clients use. */
  async generate(requestId = "r1"): Promise<{ readonly events: GenerateEvent[]; readonly abort: () => void }> {
    const { port1, port2 } = channel();
    const events: GenerateEvent[] = [];
    port1.onmessage = ({ data }) => events.push(data);
    await this.#remote.generate({ ...REQUEST, requestId }, transfer(port2, [port2]));
    return { events, abort: () => port1.postMessage({ kind: "abort" }) };
  }

  prefetch() {
    return this.#remote.kvPrefetch({ requestId: "p1", input: REQUEST.input, cacheSalt: null });
  }

  dispose(): Promise<void> {
    return this.#remote.dispose();
  }
}

/** Clients that wait for the one load. */
async function loading(numClients: number) {
  const clients = await Promise.all(Array.from({ length: numClients }, () => Client.connect()));
  const inits = clients.map((client) => client.init());
  // Those that fail are looked at later.
  for (const init of inits) init.catch(() => {});
  await Promise.all(clients.map((client) => client.hasBeenHeard()));
  expect(loads).toHaveLength(1);
  return { clients, inits, load: loads[0] };
}

async function loaded(numClients: number) {
  const { clients, inits, load } = await loading(numClients);
  const engine = new FakeEngine();
  load.succeed(engine);
  await Promise.all(inits);
  return { clients, engine };
}

const ids = (engine: FakeEngine) => engine.requests.map(({ requestId }) => requestId);

describe("while it loads", () => {
  it("is loaded once; all hear how far it is, and who comes later hears at once", async () => {
    const [first, second, third] = [await Client.connect(), await Client.connect(), await Client.connect()];
    const heard: LoadProgress[][] = [[], [], []];
    const progress = (phase: LoadProgress["phase"]) => ({ phase, loaded: 1, total: 2 });
    const start = (client: Client, index: number) => client.init(null, (told) => heard[index].push(told));
    const inits = [start(first, 0)];
    await first.hasBeenHeard();
    loads[0].context.onProgress(progress("config"));
    loads[0].context.onProgress(progress("weights"));
    inits.push(start(second, 1));
    await second.hasBeenHeard();
    loads[0].context.onProgress(progress("ready"));
    loads[0].succeed(new FakeEngine());
    expect(await Promise.all(inits)).toEqual([FAKE_INFO, FAKE_INFO]);
    expect(await start(third, 2)).toEqual(FAKE_INFO);
    const expected = [
      [progress("config"), progress("weights"), progress("ready")],
      [progress("weights"), progress("ready")],
      [progress("ready")],
    ];
    await vi.waitFor(() => expect(heard).toEqual(expected));
    expect(loads).toHaveLength(1);
  });

  it("one who cancels leaves it to the others", async () => {
    const { port1, port2 } = channel();
    const leaving = await Client.connect();
    const init = leaving.init(port2);
    const { inits, load } = await loading(1);
    port1.postMessage(null);
    await expect(init).rejects.toMatchObject({ code: "aborted" });
    expect(load.context.signal.aborted).toBe(false);
    load.succeed(new FakeEngine());
    expect(await inits[0]).toEqual(FAKE_INFO);
  });

  it("ends when all have cancelled or died; the next load begins when nothing of it is left", async () => {
    const { port1, port2 } = channel();
    const cancelling = await Client.connect();
    const init = cancelling.init(port2);
    const { clients, load } = await loading(1);
    port1.postMessage(null);
    await expect(init).rejects.toMatchObject({ code: "aborted" });
    clients[0].die();
    await vi.waitFor(() => expect(load.context.signal.aborted).toBe(true));

    const next = await Client.connect();
    const again = next.init();
    await next.hasBeenHeard();
    expect(loads).toHaveLength(1);
    const late = new FakeEngine();
    load.succeed(late);
    await vi.waitFor(() => expect(loads).toHaveLength(2));
    expect(late.numDisposals).toBe(1);
    loads[1].succeed(new FakeEngine());
    expect(await again).toEqual(FAKE_INFO);
  });

  it("is not begun for those who left before it could be", async () => {
    const { clients, load } = await loading(1);
    clients[0].die();
    await vi.waitFor(() => expect(load.context.signal.aborted).toBe(true));
    const leaving = await Client.connect();
    const rejection = expect(leaving.init()).rejects.toMatchObject({ code: "disposed" });
    await leaving.dispose();
    await rejection;
    load.fail(new Error("aborted"));
    const next = await Client.connect();
    void next.init();
    await next.hasBeenHeard();
    expect(loads.map(({ context }) => context.signal.aborted)).toEqual([true, false]);
  });

  it("is not begun for who has disposed before", async () => {
    const client = await Client.connect();
    await client.dispose();
    await expect(client.init()).rejects.toMatchObject({ code: "disposed" });
    expect(loads).toEqual([]);
  });

  it("who disposes leaves it to the others", async () => {
    const { clients, inits, load } = await loading(2);
    const rejection = expect(inits[0]).rejects.toMatchObject({ code: "disposed" });
    await clients[0].dispose();
    await rejection;
    const engine = new FakeEngine();
    load.succeed(engine);
    expect(await inits[1]).toEqual(FAKE_INFO);
    expect(engine.numDisposals).toBe(0);
  });

  it("a failure is everybody's, and the next to ask tries again", async () => {
    const { clients, inits, load } = await loading(2);
    load.fail(new CairnError("tensor_missing", "none", { tensor: "a" }));
    for (const init of inits) {
      await expect(init).rejects.toMatchObject({ code: "tensor_missing", data: { tensor: "a" } });
    }
    const next = await Client.connect();
    const again = next.init();
    await next.hasBeenHeard();
    loads[1].succeed(new FakeEngine());
    expect(await again).toEqual(FAKE_INFO);
    // Those who failed go, and take nothing with them.
    for (const client of clients) client.die();
    const { events } = await next.generate();
    expect(events).toEqual([]);
  });
});

describe("requests", () => {
  it("of one id are each client's own", async () => {
    const { clients, engine } = await loaded(2);
    const [one, two] = [await clients[0].generate(), await clients[1].generate()];
    const [id, otherId] = ids(engine);
    expect(otherId).not.toBe(id);
    engine.send(id, STARTED);
    engine.send(otherId, { ...STARTED, promptTokenIds: [4] });
    await vi.waitFor(() =>
      expect([one.events, two.events]).toEqual([[STARTED], [{ ...STARTED, promptTokenIds: [4] }]]),
    );
    two.abort();
    await vi.waitFor(() => expect(two.events.at(-1)).toMatchObject({ error: { code: "aborted" } }));
    expect(engine.aborted).toEqual([otherId]);
    expect(one.events).toEqual([STARTED]);
    await Promise.all(clients.map((client) => client.prefetch()));
    expect(new Set(engine.prefetches.map(({ requestId }) => requestId)).size).toBe(2);
  });

  it("end when their page dies, and nobody else's do", async () => {
    const { clients, engine } = await loaded(2);
    await clients[0].generate("a");
    await clients[0].generate("b");
    const { events } = await clients[1].generate("a");
    const [a, b, other] = ids(engine);
    engine.send(b, { kind: "error", error: { code: "numerical", message: "", data: {} } });
    clients[0].die();
    await vi.waitFor(() => expect(engine.aborted).toEqual([a]));
    engine.send(other, STARTED);
    await vi.waitFor(() => expect(events).toEqual([STARTED]));
    expect(engine.numDisposals).toBe(0);
    clients[1].die();
    await vi.waitFor(() => expect(engine.numDisposals).toBe(1));
    expect(engine.aborted).toEqual([a, other]);
  });

  it("of a page that was dead before it was heard are not taken", async () => {
    const { greeting, release } = await takePresence(locks);
    release();
    const client = new Client(greeting, release);
    await client.isDropped;
    expect(loads).toEqual([]);
  });

  it("of a page that cannot be watched are not taken", async () => {
    const unwatched = new Client({ lockName: "mine" }, () => {}, {
      request: () => Promise.reject(new Error("no locks")),
    });
    await unwatched.isDropped;
    expect(loads).toEqual([]);
  });
});

describe("dispose", () => {
  it("ends one client's requests; the last one's frees the engine, and the next init loads another", async () => {
    const { clients, engine } = await loaded(2);
    const [one, two] = [await clients[0].generate(), await clients[1].generate()];
    const [id, otherId] = ids(engine);
    await clients[0].dispose();
    await vi.waitFor(() => expect(one.events).toMatchObject([{ kind: "error", error: { code: "disposed" } }]));
    expect(engine.aborted).toEqual([id]);
    engine.send(otherId, STARTED);
    await vi.waitFor(() => expect(two.events).toEqual([STARTED]));
    expect(engine.numDisposals).toBe(0);
    // Its death is nothing new.
    clients[0].die();
    await clients[1].dispose();
    expect(engine.numDisposals).toBe(1);

    const next = await Client.connect();
    const again = next.init();
    await next.hasBeenHeard();
    loads[1].succeed(new FakeEngine());
    expect(await again).toEqual(FAKE_INFO);
    clients[1].die();
    await next.hasBeenHeard();
    expect(engine.numDisposals).toBe(1);
  });
});

describe("an engine that has failed", () => {
  it("is given to nobody more, and those who have it are told why", async () => {
    const { clients, engine } = await loaded(1);
    engine.failure = new CairnError("device_lost", "gone");
    const next = await Client.connect();
    const init = next.init();
    await next.hasBeenHeard();
    expect(engine.numDisposals).toBe(1);
    const fresh = new FakeEngine();
    loads[1].succeed(fresh);
    await init;
    await clients[0].generate();
    await next.generate();
    expect([ids(engine), ids(fresh)]).toMatchObject([{ length: 1 }, { length: 1 }]);
    // Who leaves the old one leaves the new one in its place.
    await clients[0].dispose();
    await (await Client.connect()).init();
    expect([loads.length, fresh.numDisposals]).toEqual([2, 0]);
  });
});

describe("a part that the worker lacks", () => {
  const never: PartSource = () => new Promise(() => {});

  it("comes from another page where the one that was asked dies", async () => {
    const [dying, other] = [await Client.connect(), await Client.connect()];
    const [source, otherSource] = [vi.fn(never), vi.fn(async (name: string) => `text of ${name}`)];
    void dying.init(null, null, source);
    void other.init(null, null, otherSource);
    await other.hasBeenHeard();
    const part = loads[0].context.partSource?.("grammar");
    await vi.waitFor(() => expect(source).toHaveBeenCalledExactlyOnceWith("grammar"));
    expect(otherSource).not.toHaveBeenCalled();
    dying.die();
    expect(await part).toBe("text of grammar");
  });

  it("fails as it fails on the page, and where nobody is left", async () => {
    const client = await Client.connect();
    const failing = vi.fn<PartSource>(async () => Promise.reject(new CairnError("network", "offline")));
    client.init(null, null, failing).catch(() => {});
    await client.hasBeenHeard();
    const { partSource } = loads[0].context;
    await expect(partSource?.("grammar")).rejects.toMatchObject({ code: "network" });
    failing.mockImplementation(never);
    const part = expect(partSource?.("grammar")).rejects.toMatchObject({ code: "disposed" });
    await vi.waitFor(() => expect(failing).toHaveBeenCalledTimes(2));
    client.die();
    await part;
  });
});
