import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CHUNK_BYTES, OPTIONS } from "./block-store.fixture";
import type { ChunkToWrite } from "./storage-api";
import {
  fault,
  index,
  makeExecutor,
  makeOpenExecutor,
  readOp,
  readResult,
  settled,
  slotChunks,
  USAGE,
  writeOp,
  writeResult,
} from "./storage-executor.fixture";

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const MIB = 2 ** 20;

describe("opening", () => {
  test("tells the index, then that it is ready; before it there is no room", async () => {
    const { executor, connections } = makeExecutor();
    expect([executor.writeRoomBytes, executor.readRoom, executor.takeResults()]).toEqual([0, 0, []]);
    const [{ name, args, answer }] = connections[0].calls;
    expect([name, args]).toEqual(["open", [OPTIONS]]);
    await answer({ index: index(3, ["0/a"]), fault: null });
    expect(executor.takeResults()).toEqual([
      { kind: "opened", index: index(3, ["0/a"]) },
      { kind: "state", state: "ready", fault: null },
    ]);
    expect([executor.writeRoomBytes, executor.readRoom]).toEqual([64 * CHUNK_BYTES, 4]);
  });

  test("unavailable: off at once", async () => {
    const { executor, connections } = makeExecutor();
    await connections[0].calls[0].answer({ index: null, fault: fault("unavailable") });
    expect(executor.takeResults()).toEqual([{ kind: "state", state: "off", fault: fault("unavailable") }]);
    expect([connections.length, connections[0].isClosed, executor.readRoom]).toEqual([1, true, 0]);
  });

  test("any other fault: one new connection, then off", async () => {
    const { executor, connections } = makeExecutor();
    await connections[0].calls[0].answer({ index: null, fault: fault("closed") });
    await connections[1].calls[0].answer({ index: null, fault: fault("quota") });
    expect(executor.takeResults()).toEqual([
      { kind: "state", state: "starting", fault: fault("closed") },
      { kind: "state", state: "off", fault: fault("quota") },
    ]);
    expect(connections.map(({ isClosed }) => isClosed)).toEqual([true, true]);
  });

  test("that hangs ends after 2 s, twice; an index that comes later is not heard", async () => {
    const { executor, connections } = makeExecutor();
    vi.advanceTimersByTime(1999);
    expect(connections).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(connections).toHaveLength(2);
    await connections[0].calls[0].answer({ index: index(7), fault: null });
    vi.advanceTimersByTime(2000);
    await connections[1].calls[0].answer({ index: index(8), fault: null });
    const timeout = { code: "timeout", message: "Opening did not answer within 2 s." };
    expect(executor.takeResults()).toEqual([
      { kind: "state", state: "starting", fault: timeout },
      { kind: "state", state: "off", fault: timeout },
    ]);
  });

  test("a worker that cannot be started: tried twice, then off", async () => {
    let numTries = 0;
    const connect = () => {
      numTries += 1;
      throw new TypeError("no worker");
    };
    const { executor } = makeExecutor({ connect });
    const worker = { code: "worker", message: "TypeError: no worker" };
    expect(executor.takeResults().map((result) => result.kind === "state" && [result.state, result.fault])).toEqual([
      ["starting", worker],
      ["off", worker],
    ]);
    expect(numTries).toBe(2);
  });
});

describe("a write", () => {
  test("copies its slots at once into buffers that come back", async () => {
    const { executor, connection, slots } = await makeOpenExecutor();
    executor.submit(writeOp(1, 2, 5));
    slots[2].fill(99);
    const { args, answer } = connection.calls[0];
    const sent = args[1] as ChunkToWrite[];
    expect(args[0]).toBe(0);
    expect(sent.map(({ key, header, bytes }) => [key, header, new Uint8Array(bytes)[63]])).toEqual(
      slotChunks(2, 5).map(({ key, header, slotId }) => [key, header, slotId]),
    );
    expect(executor.writeRoomBytes).toBe(62 * CHUNK_BYTES);
    const buffers = sent.map(({ bytes }) => bytes);
    const usage = { ...USAGE, bytes: 128 };
    await answer(writeResult(["0/2", "0/5"], { evicted: ["0/x"], buffers, usage }));
    const written = { kind: "written", opId: 1, written: ["0/2", "0/5"], evicted: ["0/x"], usage };
    expect([executor.takeResults(), executor.writeRoomBytes]).toEqual([[written], 64 * CHUNK_BYTES]);
    executor.submit(writeOp(2, 3));
    const [again] = connection.calls[1].args[1] as ChunkToWrite[];
    expect(again.bytes).toBe(buffers[0]);
    expect(new Uint8Array(again.bytes)).toEqual(slots[3]);
    executor.close();
  });

  test.each([
    { chunkBytes: 4096, maxBytes: 2 ** 30, room: 64 * 4096 },
    { chunkBytes: MIB, maxBytes: 2 ** 30, room: 8 * MIB },
    { chunkBytes: 20 * MIB, maxBytes: 2 ** 30, room: 20 * MIB },
    { chunkBytes: MIB, maxBytes: 2.5 * MIB, room: 2.5 * MIB },
  ])("chunks of $chunkBytes under a cap of $maxBytes: room for $room", async ({ chunkBytes, maxBytes, room }) => {
    const { executor, connections } = makeExecutor({ storageOptions: { ...OPTIONS, chunkBytes } });
    const opened = { ...index(), usage: { ...USAGE, maxBytes } };
    await connections[0].calls[0].answer({ index: opened, fault: null });
    expect(executor.writeRoomBytes).toBe(room);
  });

  test("that no memory can be had for is not written, and nothing else happens", async () => {
    const { executor, connection } = await makeOpenExecutor();
    vi.stubGlobal("ArrayBuffer", function refuse() {
      throw new RangeError("Array buffer allocation failed");
    });
    executor.submit(writeOp(1, 2));
    vi.unstubAllGlobals();
    expect(executor.takeResults()).toEqual([{ kind: "written", opId: 1, written: [], evicted: [], usage: null }]);
    expect([connection.calls.length, executor.writeRoomBytes]).toEqual([0, 64 * CHUNK_BYTES]);
  });

  test("that another tab's clear refused: the index is asked for again, once", async () => {
    const { executor, connection } = await makeOpenExecutor();
    executor.submit(writeOp(1, 2));
    executor.submit(writeOp(2, 3));
    await connection.calls[0].answer(writeResult([]));
    await connection.calls[1].answer(writeResult([]));
    expect(connection.calls.map(({ name }) => name)).toEqual(["write", "write", "open"]);
    await connection.calls[2].answer({ index: index(1), fault: null });
    expect(executor.takeResults().map(({ kind }) => kind)).toEqual(["written", "written", "opened"]);
    executor.submit(writeOp(3, 2));
    await connection.calls[3].answer(writeResult([]));
    expect(connection.calls).toHaveLength(4);
  });

  test("that our own clear refused is none of that", async () => {
    const { executor, connection } = await makeOpenExecutor();
    executor.submit({ kind: "clear", opId: 1 });
    executor.submit(writeOp(2, 2));
    await connection.calls[0].answer({ clearEpoch: 1, usage: USAGE, fault: null });
    await connection.calls[1].answer(writeResult([]));
    expect(connection.calls).toHaveLength(2);
    expect(executor.takeResults()[0]).toEqual({ kind: "cleared", opId: 1, clearEpoch: 1, usage: USAGE });
  });
});

describe("a read", () => {
  test("is in its slots when its result is told", async () => {
    const { executor, connection, slots } = await makeOpenExecutor();
    executor.submit(readOp(1, 2, 3, 4));
    expect(connection.calls[0].args).toEqual([slotChunks(2, 3, 4).map(({ key, header }) => ({ key, header }))]);
    expect(executor.readRoom).toBe(3);
    await connection.calls[0].answer(readResult([20, null, 40]));
    expect(executor.takeResults()).toEqual([{ kind: "read", opId: 1, arrived: [true, false, true] }]);
    expect([2, 3, 4].map((slotId) => slots[slotId][63])).toEqual([20, 3, 40]);
    expect(executor.readRoom).toBe(4);
  });

  test("bytes of another length do not arrive", async () => {
    const { executor, connection, slots } = await makeOpenExecutor();
    executor.submit(readOp(1, 2));
    await connection.calls[0].answer({ chunks: [new ArrayBuffer(CHUNK_BYTES - 1)], fault: null });
    expect(executor.takeResults()).toEqual([{ kind: "read", opId: 1, arrived: [false] }]);
    expect(slots[2][0]).toBe(2);
  });

  test("a corrupt record is a fault to be seen, and changes nothing", async () => {
    const { executor, connection } = await makeOpenExecutor();
    executor.submit(readOp(1, 2, 3));
    await connection.calls[0].answer(readResult([null, 30], { fault: fault("corrupt") }));
    expect(executor.takeResults()).toEqual([
      { kind: "read", opId: 1, arrived: [false, true] },
      { kind: "state", state: "ready", fault: fault("corrupt") },
    ]);
    expect(executor.writeRoomBytes).toBe(64 * CHUNK_BYTES);
  });

  test("four may be on their way", async () => {
    const { executor } = await makeOpenExecutor();
    for (let opId = 0; opId < 5; opId++) executor.submit(readOp(opId, opId));
    expect(executor.readRoom).toBe(0);
    executor.close();
  });
});

describe("no more room", () => {
  test("reads go on, writes rest for ten minutes; a write that succeeds ends it", async () => {
    const { executor, connection, clock } = await makeOpenExecutor();
    executor.submit(writeOp(1, 2, 3));
    await connection.calls[0].answer(writeResult([], { evicted: ["0/x"], fault: fault("quota") }));
    expect(executor.takeResults()).toEqual([
      { kind: "written", opId: 1, written: [], evicted: ["0/x"], usage: USAGE },
      { kind: "state", state: "readOnly", fault: fault("quota") },
    ]);
    expect([executor.writeRoomBytes, executor.readRoom]).toEqual([0, 4]);
    clock.nowMs = 599_999;
    executor.submit(writeOp(2, 2));
    expect(executor.takeResults()).toEqual([{ kind: "written", opId: 2, written: [], evicted: [], usage: null }]);
    expect(connection.calls).toHaveLength(1);
    clock.nowMs = 600_000;
    expect(executor.writeRoomBytes).toBe(64 * CHUNK_BYTES);
    executor.submit(writeOp(3, 2));
    await connection.calls[1].answer(writeResult(["0/2"]));
    expect(executor.takeResults().at(-1)).toEqual({ kind: "state", state: "ready", fault: null });
  });

  test("again: another ten minutes; a clear makes room", async () => {
    const { executor, connection, clock } = await makeOpenExecutor({ quotaRetryMs: 100 });
    executor.submit(writeOp(1, 2));
    await connection.calls[0].answer(writeResult([], { fault: fault("quota") }));
    clock.nowMs = 100;
    executor.submit(writeOp(2, 2));
    await connection.calls[1].answer(writeResult([], { fault: fault("quota") }));
    clock.nowMs = 199;
    expect(executor.writeRoomBytes).toBe(0);
    executor.submit({ kind: "clear", opId: 3 });
    await connection.calls[2].answer({ clearEpoch: 1, usage: USAGE, fault: null });
    expect(executor.writeRoomBytes).toBe(64 * CHUNK_BYTES);
  });
});

describe("a connection that is lost", () => {
  const losses = [
    ["a write of 10 s", "timeout", "A write did not answer within 10 s.", () => vi.advanceTimersByTime(10_000)],
    ["a worker that dies", "worker", "out of memory", undefined],
  ] as const;

  test.each(losses)("%s: all that was on its way has its result, and one new connection", async (...loss) => {
    const [, code, message, lose] = loss;
    const { executor, connection, connections, slots } = await makeOpenExecutor();
    executor.submit(writeOp(1, 2));
    executor.submit(readOp(2, 3, 4));
    executor.submit({ kind: "touch", keys: ["0/a"] });
    executor.submit({ kind: "clear", opId: 3 });
    if (lose) lose();
    else connection.die(message);
    expect(executor.takeResults()).toEqual([
      { kind: "written", opId: 1, written: [], evicted: [], usage: null },
      { kind: "read", opId: 2, arrived: [false, false] },
      { kind: "cleared", opId: 3, clearEpoch: null, usage: null },
      { kind: "state", state: "starting", fault: { code, message } },
    ]);
    expect([connection.isClosed, connections.length, executor.writeRoomBytes]).toEqual([true, 2, 0]);
    // The dead call's bytes come late: its slots may be somebody else's by now.
    await connection.calls[1].answer(readResult([30, 40]));
    await connection.calls[0].answer(writeResult(["0/2"]));
    await connection.calls[3].answer({ clearEpoch: 1, usage: USAGE, fault: null });
    expect([slots[3][0], slots[4][0], executor.takeResults()]).toEqual([3, 4, []]);
    await connections[1].calls[0].answer({ index: index(0, ["0/2"]), fault: null });
    expect(executor.takeResults().map((result) => result.kind)).toEqual(["opened", "state"]);
    expect([executor.writeRoomBytes, executor.readRoom]).toEqual([64 * CHUNK_BYTES, 4]);
  });

  test("the second time the tier is off for good, and ops have their results all the same", async () => {
    const { executor, connection, connections } = await makeOpenExecutor();
    connection.die("first");
    await connections[1].calls[0].answer({ index: index(), fault: null });
    executor.submit(readOp(1, 2));
    connection.die("of the old one, which nobody minds");
    expect(connections[1].isClosed).toBe(false);
    connections[1].die("second");
    executor.takeResults();
    let numCalls = 0;
    executor.onResults = () => {
      numCalls += 1;
    };
    executor.submit(writeOp(2, 2));
    executor.submit(readOp(3, 2, 3));
    executor.submit({ kind: "touch", keys: ["0/a"] });
    executor.submit({ kind: "clear", opId: 4 });
    expect(numCalls).toBe(0);
    await settled();
    expect(numCalls).toBe(1);
    expect(executor.takeResults()).toEqual([
      { kind: "written", opId: 2, written: [], evicted: [], usage: null },
      { kind: "read", opId: 3, arrived: [false, false] },
      { kind: "cleared", opId: 4, clearEpoch: null, usage: null },
    ]);
    await executor.flush();
    expect([connections.length, executor.writeRoomBytes, executor.readRoom]).toEqual([2, 0, 0]);
  });

  test.each(["closed", "unknown"] as const)("a store that tells %s is given up like one that died", async (code) => {
    const { executor, connection, connections } = await makeOpenExecutor();
    executor.submit(readOp(1, 2));
    executor.submit(readOp(2, 3));
    await connection.calls[0].answer(readResult([null], { fault: fault(code) }));
    expect(executor.takeResults()).toEqual([
      { kind: "read", opId: 1, arrived: [false] },
      { kind: "read", opId: 2, arrived: [false] },
      { kind: "state", state: "starting", fault: fault(code) },
    ]);
    expect(connections).toHaveLength(2);
    executor.close();
  });

  test("a call that rejects, or cannot be sent, is one of a worker that is gone", async () => {
    const { executor, connection, connections } = await makeOpenExecutor();
    executor.submit(readOp(1, 2));
    await connection.calls[0].reject(new Error("port closed"));
    expect(executor.takeResults().at(-1)).toEqual({
      kind: "state",
      state: "starting",
      fault: { code: "worker", message: "A read failed: Error: port closed" },
    });
    connections[1].api.touch = () => {
      throw new DOMException("cannot be cloned", "DataCloneError");
    };
    executor.submit({ kind: "touch", keys: [] });
    await settled();
    expect(executor.takeResults().at(-1)).toMatchObject({ state: "off", fault: { code: "worker" } });
  });

  test("ops that come while it opens anew wait behind the opening", async () => {
    const { executor, connection, connections } = await makeOpenExecutor();
    connection.die("first");
    executor.submit({ kind: "clear", opId: 1 });
    expect(connections[1].calls.map(({ name }) => name)).toEqual(["open", "clear"]);
    executor.close();
  });
});

describe("what the store says by itself", () => {
  const changed = { kind: "changed", added: ["0/a"], deleted: ["0/b"], usage: USAGE } as const;

  test("is told in its order among the results of calls", async () => {
    const { executor, connection } = await makeOpenExecutor();
    executor.submit(writeOp(1, 2));
    await settled(() => connection.tell(changed, { kind: "opened", index: index(1) }));
    await connection.calls[0].answer(writeResult([]));
    await settled(() => connection.tell(changed));
    expect(executor.takeResults().map(({ kind }) => kind)).toEqual(["changed", "opened", "written", "changed"]);
    // The write was refused for a clear that is known already: nobody asks for the index again.
    expect(connection.calls.map(({ name }) => name)).toEqual(["write"]);
    executor.close();
  });

  test("is heard of the new connection, and no more of one that was given up", async () => {
    const { executor, connections } = await makeOpenExecutor();
    await settled(() => connections[0].die("injected"));
    executor.takeResults();
    await settled(() => connections[0].tell(changed));
    expect(executor.takeResults()).toEqual([]);
    await settled(() => connections[1].tell(changed));
    expect(executor.takeResults()).toEqual([changed]);
    executor.close();
    await settled(() => connections[1].tell(changed));
    expect(executor.takeResults()).toEqual([]);
  });

  test("cannot be heard: the store is given up like one that died", async () => {
    const { executor, connections, connection } = await makeOpenExecutor();
    await settled(() => connection.deafen(new Error("injected")));
    expect(connections).toHaveLength(2);
    const worker = { code: "worker", message: "Listening failed: Error: injected" };
    expect(executor.takeResults()).toEqual([{ kind: "state", state: "starting", fault: worker }]);
    executor.close();
  });
});

describe("results", () => {
  test("are announced once what runs has ended, and once for many", async () => {
    const { executor, connection } = await makeOpenExecutor();
    const seen: number[] = [];
    executor.onResults = () => seen.push(executor.takeResults().length);
    executor.submit(readOp(1, 2));
    executor.submit(readOp(2, 3));
    connection.calls[0].answer(readResult([1], { fault: fault("corrupt") }));
    await settled();
    await connection.calls[1].answer(readResult([1]));
    expect(seen).toEqual([2, 1]);
  });

  test("none comes after close, and no timer is left", async () => {
    const { executor, connection } = await makeOpenExecutor();
    executor.onResults = () => expect.unreachable();
    executor.submit(readOp(1, 2));
    const flushed = executor.flush();
    executor.close();
    await flushed;
    await connection.calls[0].answer(readResult([1]));
    executor.submit(readOp(2, 3));
    expect([executor.takeResults(), executor.writeRoomBytes]).toEqual([[], 0]);
    expect([connection.hasLeft, connection.isClosed]).toEqual([true, false]);
  });

  test("a flush resolves when the store has flushed, or is given up", async () => {
    const { executor, connection } = await makeOpenExecutor();
    const ends: string[] = [];
    executor.flush().then(() => ends.push("first"));
    await settled();
    expect([ends, connection.calls[0].name]).toEqual([[], "flush"]);
    await connection.calls[0].answer();
    expect(ends).toEqual(["first"]);
    executor.flush().then(() => ends.push("second"));
    vi.advanceTimersByTime(10_000);
    await settled();
    expect(ends).toEqual(["first", "second"]);
    executor.close();
  });
});
