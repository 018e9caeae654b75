import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { endWorkers, noTemplate, sent, startEngine } from "./session.fixture";
import { DATABASE_NAME } from "./session-store";
import type { SessionOptions } from "./session-types";

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
  endWorkers();
});

/** Puts any value where a saved session is. */
async function putRecord(key: IDBValidKey, record: unknown): Promise<void> {
  const db = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(DATABASE_NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("sessions");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const tx = db.transaction("sessions", "readwrite");
  tx.objectStore("sessions").put(record, key);
  await new Promise((resolve) => (tx.oncomplete = resolve));
  db.close();
}

const OPTIONS: SessionOptions = {
  system: "Be kind.",
  onOverflow: "drop-oldest",
  temperature: 0.5,
  max_tokens: 5,
  cache_salt: "mine",
  kv: { store: "ram" },
  logit_bias: { 7: -100 },
  stop: ["x"],
};
const RECORD = {
  format: 1,
  modelId: "tiny",
  savedAt: 5,
  messages: [{ role: "user", content: "A" }],
  options: { onOverflow: "error" },
  numDroppedMessages: 2,
};

describe("a saved session", () => {
  it("goes on in another engine: messages, options and what was dropped; its KV is brought to the GPU", async () => {
    const { engine, served } = await startEngine();
    const session = await engine.session(OPTIONS);
    await session.prompt("A");
    await session.prompt("x".repeat(40));
    expect(session.numDroppedMessages).toBe(2);
    const saving = session.prompt("B").then(() => served.numFlushes);
    const id = await session.save();
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    // What was asked before is saved with it.
    expect([await saving, served.numFlushes]).toEqual([0, 1]);

    const later = await startEngine();
    const restored = await later.engine.restoreSession(id);
    expect(restored.messages).toEqual(session.messages);
    expect(restored.messages.at(-2)).toEqual({ role: "user", content: "B" });
    expect(restored.contextUsage).toBe(session.contextUsage);
    expect(restored.numDroppedMessages).toBe(session.numDroppedMessages);
    const input = { kind: "chat", messages: session.messages, addGenerationPrompt: false };
    const requestId = expect.stringMatching(/^session-[0-9a-f-]{36}$/);
    expect(later.served.prefetches).toEqual([{ requestId, input, cacheSalt: "mine" }]);

    await Promise.all([session.prompt("C"), restored.prompt("C")]);
    const { requestId: _, ...request } = later.served.requests[0];
    expect(served.requests.at(-1)).toMatchObject(request);
    expect(request).toMatchObject({ maxTokens: 5, kvStore: "ram", cacheSalt: "mine", stop: ["x"] });
    expect(restored.messages).toEqual(session.messages);
  });

  it("keeps its id, unless it is given another; a clone gets one of its own", async () => {
    const { engine } = await startEngine();
    const session = await engine.session();
    expect(await session.save("mine")).toBe("mine");
    await session.append("A");
    expect(await session.save()).toBe("mine");
    expect((await engine.restoreSession("mine")).messages).toHaveLength(1);
    const copy = await session.clone();
    expect(await copy.save()).not.toBe("mine");
    const restored = await engine.restoreSession("mine");
    await restored.append("B");
    expect(await restored.save()).toBe("mine");
    expect((await engine.restoreSession("mine")).messages).toHaveLength(2);
    expect(await restored.save("other")).toBe("other");
    expect((await engine.savedSessions()).map(({ id }) => id)).toContain("other");
  });

  it("is listed and deleted within its namespace alone", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1_000 });
    const [a, b] = [await startEngine(undefined, { namespace: "a" }), await startEngine(undefined, { namespace: "b" })];
    const session = await a.engine.session({ system: "Be kind." });
    await session.save("2");
    await session.save("1");
    await (await b.engine.session()).save("1");
    const info = { modelId: "tiny", savedAt: 1_000, numMessages: 1 };
    expect(await a.engine.savedSessions()).toEqual([
      { id: "1", info },
      { id: "2", info },
    ]);
    expect(await b.engine.savedSessions()).toEqual([{ id: "1", info: { ...info, numMessages: 0 } }]);
    await b.engine.deleteSession("2");
    await a.engine.deleteSession("1");
    await a.engine.deleteSession("1");
    expect((await a.engine.savedSessions()).map(({ id }) => id)).toEqual(["2"]);
    await expect(a.engine.restoreSession("1")).rejects.toMatchObject({ code: "session_missing", data: { id: "1" } });
    expect((await b.engine.restoreSession("1")).messages).toEqual([]);
  });

  it("of another model goes on with this one", async () => {
    const { engine } = await startEngine();
    await (await engine.session({ system: "Be kind." })).save("s");
    const other = await startEngine(undefined, { modelId: "large" });
    expect((await other.engine.savedSessions())[0].info?.modelId).toBe("tiny");
    const session = await other.engine.restoreSession("s");
    await session.prompt("A");
    expect(sent(other.served.requests[0])).toEqual(["system: Be kind.", "user: A"]);
  });

  it("is restored where its KV is gone, or its template writes no such thing", async () => {
    const { engine, served } = await startEngine();
    await (await engine.session({ system: "Be kind." })).save("s");
    served.prefetch = () => Promise.reject(noTemplate());
    expect((await engine.restoreSession("s")).messages).toHaveLength(1);
    await (await engine.session({ system: "Be kind.", kv: { cache: false } })).save("s");
    const { length } = served.prefetches;
    await engine.restoreSession("s");
    expect(served.prefetches).toHaveLength(length);
  });

  it.each([
    ["save", "", "id"],
    ["save", 5, "id"],
    ["restoreSession", "", "id"],
    ["deleteSession", undefined, "id"],
  ] as const)("%s refuses the id %j", async (method, id, param) => {
    const { engine } = await startEngine();
    const target = method === "save" ? await engine.session() : engine;
    const call = (target as unknown as Record<string, (id: unknown) => Promise<unknown>>)[method](id);
    await expect(call).rejects.toMatchObject({ code: "invalid_request", data: { param } });
  });
});

describe("a record that is no session", () => {
  it.each([
    ["damaged", null],
    ["text", "A"],
    ["of another format", { ...RECORD, format: 2 }],
    ["without messages", { ...RECORD, messages: undefined }],
    ["without options", { ...RECORD, options: null }],
    ["without counts", { ...RECORD, numDroppedMessages: "2" }],
    ["of messages that are none", { ...RECORD, messages: [{ role: "user", content: 5 }] }],
    ["of roles that are none", { ...RECORD, messages: [{ role: "robot", content: "A" }] }],
    ["of options that are none", { ...RECORD, options: { onOverflow: "error", temperature: 99 } }],
    ["of unknown options", { ...RECORD, options: { later: true } }],
  ])("%s, is an error with a code, is listed, and can be deleted", async (_, record) => {
    await putRecord(["", "s"], record);
    const { engine, served } = await startEngine();
    const error = { code: "invalid_session", data: { id: "s", reason: expect.any(String) } };
    await expect(engine.restoreSession("s")).rejects.toMatchObject(error);
    expect((await engine.savedSessions()).map(({ id }) => id)).toEqual(["s"]);
    await engine.deleteSession("s");
    expect([await engine.savedSessions(), served.prefetches]).toEqual([[], []]);
  });

  it("is one where nothing is wrong with it, and told without infos where more is", async () => {
    await putRecord(["", "s"], RECORD);
    await putRecord(["", "t"], { ...RECORD, savedAt: "today" });
    const { engine } = await startEngine();
    expect((await engine.restoreSession("s")).numDroppedMessages).toBe(2);
    expect(await engine.savedSessions()).toEqual([
      { id: "s", info: { modelId: "tiny", savedAt: 5, numMessages: 1 } },
      { id: "t", info: null },
    ]);
  });
});

describe("storage that fails", () => {
  const fails = (reason: string) => ({ code: "storage_failed", data: { reason } });

  it.each([
    ["quota", new DOMException("no room", "QuotaExceededError")],
    ["unknown", new DOMException("bad", "DataError")],
  ])("is said to (%s), and the session goes on", async (reason, error) => {
    const { engine, served } = await startEngine();
    const session = await engine.session();
    vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
      throw error;
    });
    await expect(session.save()).rejects.toMatchObject({ ...fails(reason), cause: error });
    expect(served.numFlushes).toBe(0);
    expect(await session.prompt("A")).toBe("Yes. No");
  });

  it("at the end of a transaction is said to", async () => {
    const { engine } = await startEngine();
    const session = await engine.session();
    const { put } = IDBObjectStore.prototype;
    vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (this: IDBObjectStore, ...args) {
      const request = put.apply(this, args);
      this.transaction.abort();
      return request;
    });
    await expect(session.save("s")).rejects.toMatchObject(fails("unknown"));
    vi.restoreAllMocks();
    expect(await engine.savedSessions()).toEqual([]);
  });

  it("because there is none is said to", async () => {
    const { engine } = await startEngine();
    vi.stubGlobal("indexedDB", undefined);
    const session = await engine.session();
    for (const call of [
      session.save(),
      engine.restoreSession("s"),
      engine.savedSessions(),
      engine.deleteSession("s"),
    ]) {
      await expect(call).rejects.toMatchObject(fails("unavailable"));
    }
  });

  it("because another's database is there is said to", async () => {
    await new Promise((resolve) => {
      const request = indexedDB.open(DATABASE_NAME, 7);
      request.onsuccess = () => resolve(request.result.close());
    });
    const { engine } = await startEngine();
    await expect(engine.savedSessions()).rejects.toMatchObject(fails("unknown"));
  });

  it("because it does not open in time is said to", async () => {
    const { engine } = await startEngine();
    const session = await engine.session();
    vi.spyOn(indexedDB, "open").mockImplementation(() => Reflect.construct(IDBOpenDBRequest, []));
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const saving = expect(session.save()).rejects.toMatchObject(fails("timeout"));
    await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThan(0));
    vi.advanceTimersByTime(5_000);
    await saving;
  });
});
