import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { promised } from "../../testing/block-rows";
import { failOpens } from "./block-store.faults.fixture";
import {
  bytesOf,
  CHUNK_BYTES,
  checkIntegrity,
  chunk,
  chunks,
  makeStore,
  OPTIONS,
  openStore,
  resetIndexedDb,
  rowsOf,
} from "./block-store.fixture";
import { serveStorage } from "./serve-storage";
import { STORAGE_WORKER_NAME, type StorageConnection, startStorageWorker } from "./storage-connection";
import { StorageOpExecutor } from "./storage-executor";
import { slotChunks } from "./storage-executor.fixture";
import { openStorageHere } from "./storage-here";
import type { StorageOp, StorageResult } from "./storage-op";

/** A worker whose thread is this one: its port and its messages are real. */
class PortWorker extends EventTarget {
  static readonly all: PortWorker[] = [];
  readonly port: MessagePort;
  readonly args: readonly unknown[];
  readonly #served: MessagePort;
  readonly #store = makeStore();

  constructor(...args: unknown[]) {
    super();
    this.args = args;
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    this.#served = port2;
    serveStorage(this.#store, port2);
    port1.addEventListener("message", ({ data }) => this.dispatchEvent(new MessageEvent("message", { data })));
    port1.start();
    PortWorker.all.push(this);
  }

  postMessage(message: unknown, transfer: Transferable[]): void {
    this.port.postMessage(message, transfer);
  }

  terminate(): void {
    this.port.close();
    this.#served.close();
    this.#store.close();
  }
}

let executors: StorageOpExecutor[] = [];
beforeEach(() => {
  resetIndexedDb();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  for (const executor of executors) executor.close();
  for (const worker of PortWorker.all.splice(0)) worker.terminate();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  executors = [];
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** An executor with 8 slots that hold the chunks of `slotChunks`, and what it tells from now on. */
function makeExecutor(connect: () => StorageConnection) {
  const slots = Array.from({ length: 8 }, (_, slotId) => new Uint8Array(chunk(`0/${slotId}`).bytes));
  const executor = new StorageOpExecutor({
    connect,
    storageOptions: OPTIONS,
    slots: { slot: (slotId) => slots[slotId] },
    now: () => 0,
  });
  executors.push(executor);
  const results: StorageResult[] = [];
  executor.onResults = () => results.push(...executor.takeResults());
  const told = (count: number) => until(() => results.length >= count);
  const submit = (...ops: StorageOp[]) => {
    for (const op of ops) executor.submit(op);
  };
  return { executor, results, slots, told, submit };
}

/** The clock of deadlines stands still meanwhile. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

function connectWorker(): StorageConnection {
  vi.stubGlobal("Worker", PortWorker);
  return startStorageWorker("https://app.example/worker.js");
}

const connections = [
  { where: "a worker", connect: connectWorker },
  { where: "this thread", connect: () => openStorageHere({ estimate: () => Promise.resolve(null) }) },
];

describe.each(connections)("a store in $where", ({ connect }) => {
  test("what one session writes, the next reads into its slots", async () => {
    const first = makeExecutor(connect);
    first.submit({ kind: "write", opId: 1, clearEpoch: 0, chunks: slotChunks(0, 1, 2) });
    first.submit({ kind: "touch", keys: ["0/1"] });
    await first.executor.flush();
    expect(first.results.slice(0, 3)).toMatchObject([
      { kind: "opened", index: { keys: [], clearEpoch: 0 } },
      { kind: "state", state: "ready" },
      { kind: "written", opId: 1, written: ["0/0", "0/1", "0/2"], evicted: [], usage: { bytes: 3 * CHUNK_BYTES } },
    ]);
    first.executor.close();

    const { results, slots, told, submit } = makeExecutor(connect);
    for (const slot of slots) slot.fill(0);
    submit({ kind: "read", opId: 1, chunks: slotChunks(2, 0, 7) }, { kind: "clear", opId: 2 });
    await told(4);
    expect(results).toMatchObject([
      { kind: "opened", index: { keys: ["0/0", "0/1", "0/2"], usage: { bytes: 3 * CHUNK_BYTES } } },
      { kind: "state", state: "ready" },
      { kind: "read", opId: 1, arrived: [true, false, false].with(1, true) },
      { kind: "cleared", opId: 2, clearEpoch: 1 },
    ]);
    expect([slots[2], slots[0], slots[7][0]]).toEqual([bytesOf("0/2"), bytesOf("0/0"), 0]);
    expect(await rowsOf("blocks")).toEqual({});
  });

  test("an open that hangs ends in a tier that is off, and ops that fail", async () => {
    failOpens("hang", 2);
    const { results, told, submit } = makeExecutor(connect);
    submit({ kind: "read", opId: 1, chunks: slotChunks(0) });
    vi.advanceTimersByTime(2000);
    await told(2);
    vi.advanceTimersByTime(2000);
    await told(3);
    expect(results).toMatchObject([
      { kind: "read", opId: 1, arrived: [false] },
      { kind: "state", state: "starting", fault: { code: "timeout" } },
      { kind: "state", state: "off", fault: { code: "timeout" } },
    ]);
  });

  test("an open behind a deletion that another tab blocks is not waited for", async () => {
    const other = await promised(indexedDB.open("cairn-kv", 1));
    const deletion = promised(indexedDB.deleteDatabase("cairn-kv"));
    const { results, told } = makeExecutor(connect);
    vi.advanceTimersByTime(2000);
    await told(1);
    other.close();
    await deletion;
    await told(3);
    expect(results).toMatchObject([
      { kind: "state", state: "starting", fault: { code: "timeout" } },
      { kind: "opened", index: { keys: [] } },
      { kind: "state", state: "ready" },
    ]);
  });

  test.each(["put", "get"] as const)(
    "a %s that hangs: a new connection, and what was durable is there",
    async (method) => {
      const { executor, results, told, submit } = makeExecutor(connect);
      submit({ kind: "write", opId: 1, clearEpoch: 0, chunks: slotChunks(0) });
      await executor.flush();
      const original = IDBObjectStore.prototype[method] as (...args: unknown[]) => IDBRequest;
      let numHanging = 0;
      const spy = vi.spyOn(IDBObjectStore.prototype, method);
      spy.mockImplementation(function (this: IDBObjectStore, ...args: unknown[]) {
        if (this.name !== "blocks") return original.apply(this, args);
        numHanging += 1;
        return new IDBRequest();
      });
      const op = { opId: 2, chunks: slotChunks(0, 1) };
      submit(method === "put" ? { ...op, kind: "write", clearEpoch: 0 } : { ...op, kind: "read" });
      await until(() => numHanging > 0);
      spy.mockRestore();
      vi.advanceTimersByTime(10_000);
      await told(7);
      expect(results.slice(3)).toMatchObject([
        { opId: 2, ...(method === "put" ? { written: [] } : { arrived: [false, false] }) },
        { kind: "state", state: "starting", fault: { code: "timeout" } },
        { kind: "opened" },
        { kind: "state", state: "ready" },
      ]);
      submit({ kind: "read", opId: 3, chunks: slotChunks(0) });
      await told(8);
      expect(results.at(-1)).toEqual({ kind: "read", opId: 3, arrived: [true] });
    },
  );
});

describe("a storage worker", () => {
  test("is a module worker of its name, and every call goes through", async () => {
    const { api } = connectWorker();
    const options = { type: "module", name: STORAGE_WORKER_NAME };
    expect(PortWorker.all[0].args).toEqual(["https://app.example/worker.js", options]);
    expect((await api.open(OPTIONS)).index?.keys).toEqual([]);
    const sent = chunks("0/a", "0/b");
    const written = await api.write(0, sent);
    expect(sent.map(({ bytes }) => bytes.byteLength)).toEqual([0, 0]);
    expect(written.buffers.map((bytes) => new Uint8Array(bytes))).toEqual([bytesOf("0/a"), bytesOf("0/b")]);
    const read = await api.read(chunks("0/b", "0/c"));
    expect(read.chunks.map((bytes) => bytes && new Uint8Array(bytes))).toEqual([bytesOf("0/b"), null]);
    await api.touch(["0/a"]);
    await api.flush();
    expect((await api.clear()).clearEpoch).toBe(1);
    const { store } = await openStore();
    await checkIntegrity(store);
  });

  test("its buffers are transferred both ways, and none is copied", async () => {
    const { api } = connectWorker();
    await api.open(OPTIONS);
    const postMessage = vi.spyOn(MessagePort.prototype, "postMessage");
    await api.write(0, chunks("0/a", "0/b"));
    await api.read(chunks("0/a", "0/c"));
    // To the worker, twice through this class and its port; back once a call.
    const numTransferred = postMessage.mock.calls.map(([, transfer]) => (transfer as Transferable[]).length);
    expect(numTransferred).toEqual([2, 2, 0, 1]);
  });

  test.each([
    ["error", { message: "out of memory" }, "out of memory"],
    ["error", {}, "its script could not be loaded"],
    ["messageerror", {}, "a message could not be read"],
  ])("dies of %s %o", (type, properties, message) => {
    const connection = connectWorker();
    const deaths: string[] = [];
    connection.onDeath((death) => deaths.push(death));
    PortWorker.all[0].dispatchEvent(Object.assign(new Event(type), properties));
    expect(deaths).toEqual([message]);
  });
});
