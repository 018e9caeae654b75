import { expect, test } from "vitest";
import type { StorageOp, StorageResult } from "../offload/storage/storage-op";
import { ModelledStorage } from "./modelled-storage";

const CHUNK_BYTES = 2 ** 20;
const COSTS = { storageOpMs: 1, storageReadMsPerMiB: 10, storageWriteMsPerMiB: 100 };

function open(maxChunks = 100) {
  const clock = { nowMs: 0 };
  const storage = new ModelledStorage({ costs: COSTS, chunkBytes: CHUNK_BYTES, maxChunks, now: () => clock.nowMs });
  let opId = 0;
  const chunksOf = (keys: string) =>
    [...keys].map((key) => ({ key, header: { parent: null, tokenIds: [] }, slotId: 0 }));
  const submit = (kind: "read" | "write", keys: string, clearEpoch = 0) => {
    const op: StorageOp = { kind, opId: ++opId, chunks: chunksOf(keys), clearEpoch };
    storage.submit(op);
  };
  /** What has come by that time, in words. */
  const at = (nowMs: number) => {
    clock.nowMs = nowMs;
    return storage.takeResults().map(describe);
  };
  return { storage, submit, at };
}

function describe(result: StorageResult): string {
  if (result.kind === "read") return `read ${result.opId}: ${result.arrived}`;
  if (result.kind === "written") return `written ${result.written.join("")} evicted ${result.evicted.join("")}`;
  if (result.kind === "cleared") return `cleared ${result.clearEpoch}`;
  return result.kind;
}

test("it is open; reads end one after the other, and so do writes, beside them", () => {
  const { storage, submit, at } = open();
  expect(at(0)).toEqual(["state", "opened"]);
  submit("write", "ab");
  expect([storage.nextResultMs, at(200), at(201)]).toEqual([201, [], ["written ab evicted "]]);
  submit("read", "a");
  submit("read", "bc");
  submit("write", "d");
  expect([storage.nextResultMs, storage.readRoom, storage.writeRoomBytes]).toEqual([212, 2, 7 * CHUNK_BYTES]);
  expect([at(212), at(232), at(233), at(302)]).toEqual([
    ["read 2: true"],
    [],
    ["read 3: true,false"],
    ["written d evicted "],
  ]);
  expect(storage.nextResultMs).toBe(Number.POSITIVE_INFINITY);
});

test("when it is full, what was used least recently goes", () => {
  const { storage, submit, at } = open(3);
  submit("write", "abc");
  at(1000);
  storage.submit({ kind: "touch", keys: ["a", "x"] });
  submit("write", "de");
  expect(at(2000)).toEqual(["written de evicted bc"]);
});

test("what is deleted, cleared, or planned before a clear is not there", () => {
  const { storage, submit, at } = open();
  submit("write", "ab");
  at(1000);
  storage.submit({ kind: "delete", keys: ["a"] });
  submit("read", "ab");
  expect(at(2000)).toEqual(["read 2: false,true"]);
  submit("write", "c");
  storage.submit({ kind: "clear", opId: 9 });
  submit("write", "d", 1);
  expect(at(3000)).toEqual(["cleared 1", "written  evicted ", "written d evicted "]);
});
