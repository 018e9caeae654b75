import { expect, test } from "vitest";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { tokens } from "../kv/kv-request.fixture";
import { PrefixHashes } from "../kv/prefix-hashes";
import type { ConnectorRequest } from "./connector";
import { HostManager } from "./host-manager";
import { OffloadConnector, type OffloadConnectorOptions } from "./offload-connector";
import { makeOffloadPolicy } from "./offload-policy";

const geometry = geometryWithWindows([null], 4);
const onGpu = () => false;
/** Block i of a request's table is block i + 1. */
const blockAt = (_group: number, index: number) => index + 1;

function makeConnector(options: Partial<OffloadConnectorOptions> = {}) {
  const clock = { nowMs: 0 };
  const now = () => clock.nowMs;
  const manager = new HostManager({
    numSlots: 16,
    evictionPolicy: "lru",
    storeThreshold: 1,
    reserveSlot: () => true,
    now,
  });
  const connector = new OffloadConnector({
    geometry,
    numBlocks: 17,
    manager,
    policy: makeOffloadPolicy("storeOnCompute"),
    numStagingSlots: 16,
    maxTransferBytesPerStep: 100 * geometry.pageBytes,
    now,
    ...options,
  });
  /** A prompt whose tokens are computed, unless told otherwise. */
  const request = (requestId: string, numTokens: number, numComputedTokens = numTokens): ConnectorRequest => {
    const ids = tokens(1, numTokens);
    const prefixHashes = new PrefixHashes(4, { cacheSalt: null }, (start, end) => ids.slice(start, end));
    const added = { requestId, numTokens, numComputedTokens, prefixHashes, store: "all" } as const;
    connector.requestAdded(added);
    return added;
  };
  /** Stores what there is of a request in a step of its own; `numBlocks` of each chunk arrive. */
  const store = (stored: ConnectorRequest, numBlocks = 1) => {
    connector.beginStep();
    connector.offer("compute", stored, blockAt);
    const { stores } = connector.takeTransfers();
    for (const { jobId, epoch } of stores) connector.completeTransfer({ jobId, epoch, numBlocks });
    return stores.map(({ blockIds }) => blockIds.join()).join(" ");
  };
  const startLoad = (loading: ConnectorRequest, numBlocks: number) => {
    const targets = Array.from({ length: numBlocks }, (_, index) => ({ group: 0, index, blockId: 10 + index }));
    connector.startLoad(loading, targets);
  };
  return { connector, manager, clock, request, store, startLoad };
}

test("stores what is both written and known", () => {
  const { request, store } = makeConnector();
  expect(store(request("a", 12, 7))).toBe("1");
  expect(store({ ...request("b", 12, 20), requestId: "b" })).toBe("2 3");
});

test("a request without the prefix cache: no lookup, no store", () => {
  const { connector, store } = makeConnector();
  const request = { requestId: "a", numTokens: 12, numComputedTokens: 12, prefixHashes: null, store: "all" } as const;
  connector.requestAdded(request);
  expect([store(request), connector.lookup(request, onGpu)]).toEqual(["", { kind: "none" }]);
});

test("a lookup says how far tier and GPU go together, and changes nothing", () => {
  const { connector, request, store } = makeConnector();
  store(request("a", 13));
  const b = request("b", 13, 0);
  expect(connector.lookup(b, onGpu)).toEqual({ kind: "load", numBlocks: 3 });
  expect(connector.lookup(b, onGpu)).toEqual({ kind: "load", numBlocks: 3 });
  expect(connector.lookup(b, () => true)).toEqual({ kind: "none" });
  expect([connector.hasWork, connector.stats.numLoads, connector.stats.host.numPinnedSlots]).toEqual([false, 0, 0]);
});

test("stores and loads share a step's bytes: stores take half at most, a load goes on where others have left something", () => {
  const { connector, request, store, startLoad } = makeConnector({ maxTransferBytesPerStep: 5 * geometry.pageBytes });
  for (let i = 0; i < 3; i++) store(request(`a${i}`, 8 * (i + 1)));
  const [b, c] = [request("b", 24, 0), request("c", 24, 0)];
  connector.beginStep();
  startLoad(b, 4);
  startLoad(c, 4);
  connector.offer("compute", request("s", 40), (_group, index) => index + 1);
  expect(connector.planLoad("b", 8)?.job.blocks).toHaveLength(2);
  expect(connector.planLoad("c", 100)?.job.blocks).toHaveLength(1);
  expect(connector.planLoad("b", 100)).toBeNull();
  const { stores, loads } = connector.takeTransfers();
  expect([stores.length, loads.length]).toEqual([2, 2]);
});

test("a step's bytes are those of blocks below the GPU, and so are all that are counted", () => {
  const blockBytes = geometry.pageBytes / 2;
  const limits = { blockBytes, maxTransferBytesPerStep: 4 * blockBytes };
  const { connector, request, store, startLoad } = makeConnector(limits);
  for (let i = 0; i < 3; i++) store(request(`a${i}`, 8 * (i + 1)));
  const b = request("b", 24, 0);
  connector.beginStep();
  startLoad(b, 6);
  expect(connector.planLoad("b", 100)?.job.blocks).toHaveLength(4);
  const { chunkBytes, bytesStored, numStores } = connector.stats;
  expect([chunkBytes, bytesStored]).toEqual([geometry.blocksPerChunk * blockBytes, numStores * chunkBytes]);
});

test("a load that failed: nothing is loaded until the request runs, and never the chunk that did not arrive", () => {
  const { connector, request, store, startLoad } = makeConnector();
  store(request("a", 13));
  const b = request("b", 13, 0);
  startLoad(b, 3);
  const { job } = connector.planLoad("b", 100)!;
  expect(connector.completeTransfer({ jobId: job.jobId, epoch: 0, numBlocks: 1 })).toMatchObject({ state: "failed" });
  expect(connector.lookup(b, onGpu)).toEqual({ kind: "none" });
  connector.requestAdmitted(b);
  expect(connector.lookup(b, onGpu)).toEqual({ kind: "load", numBlocks: 1 });
  expect(connector.lookup(request("c", 13, 0), onGpu)).toEqual({ kind: "load", numBlocks: 3 });
  expect(connector.stats).toMatchObject({ numLoads: 1, numLoadsFailed: 1, numBlocksLoaded: 1 });
});

test("past the deadline what is not readable is a miss", () => {
  const { connector, clock, request, store, startLoad } = makeConnector();
  store(request("a", 13));
  startLoad(request("b", 13, 0), 3);
  const c = request("c", 13, 0);
  expect(connector.lookup(c, onGpu)).toEqual({ kind: "deferred", reason: "loading" });
  expect([connector.isDeferred("c"), connector.nextDeadlineMs]).toEqual([true, 2000]);
  clock.nowMs = 2000;
  expect([connector.takeWoken(), connector.lookup(c, onGpu)]).toEqual([["c"], { kind: "none" }]);
  expect(connector.stats.numDeferralsTimedOut).toBe(1);
});

test("what is sooner computed is a miss for that request for good, however fast loads are afterwards", () => {
  const { connector, clock, request, store, startLoad } = makeConnector();
  let numSteps = 0;
  const step = (numTokens: number, ms: number) => {
    connector.takeTransfers();
    connector.stepScheduled(numSteps, numTokens);
    clock.nowMs += ms;
    connector.stepProcessed(numSteps++);
  };
  const load = (requestId: string, ms: number) => {
    startLoad(request(requestId, 13, 0), 3);
    const { job } = connector.planLoad(requestId, 100)!;
    step(0, ms);
    connector.completeTransfer({ jobId: job.jobId, epoch: 0, numBlocks: 3 });
  };
  store(request("a", 13));
  step(100, 100);
  for (const requestId of ["l1", "l2", "l3"]) load(requestId, 13);
  const b = request("b", 13, 0);
  expect([connector.lookup(b, onGpu), connector.stats.numLoadsDeclined]).toEqual([{ kind: "none" }, 1]);
  for (const requestId of ["l4", "l5", "l6"]) load(requestId, 1);
  connector.requestAdmitted(b);
  expect(connector.lookup(b, onGpu)).toEqual({ kind: "none" });
  expect(connector.lookup(request("c", 13, 0), onGpu)).toEqual({ kind: "load", numBlocks: 3 });
  expect(connector.stats.numLoadsDeclined).toBe(1);
});

test("a store that fails is offered again while its request is here, and not when it is gone", () => {
  const { connector, request, store } = makeConnector();
  const a = request("a", 8);
  expect([store(a, 0), store(a, 1), store(a)]).toEqual(["1 2", "1 2", ""]);
  const b = request("b", 12);
  connector.beginStep();
  connector.offer("compute", b, blockAt);
  const [{ jobId }] = connector.takeTransfers().stores;
  connector.offer("finish", b, blockAt);
  connector.requestFinished("b");
  connector.completeTransfer({ jobId, epoch: 0, numBlocks: 0 });
  expect(connector.stats.numStoresFailed).toBe(3);
  connector.requestFinished("a");
  connector.checkIntegrity(true);
});

test("a result of an older device means nothing; jobs of the next one count on", () => {
  const { connector, request, store, startLoad } = makeConnector();
  store(request("a", 9));
  const b = request("b", 9, 0);
  startLoad(b, 2);
  const { job } = connector.planLoad("b", 100)!;
  connector.takeTransfers();
  connector.beginEpoch();
  expect(connector.completeTransfer({ jobId: job.jobId, epoch: 0, numBlocks: 2 })).toBeNull();
  expect([connector.hasWork, connector.stats.numBlocksLoaded, connector.stats.host.numPinnedSlots]).toEqual([
    false,
    0,
    0,
  ]);
  startLoad(b, 2);
  const next = connector.planLoad("b", 100)!.job;
  expect([next.epoch, next.jobId > job.jobId]).toEqual([1, true]);
  expect(connector.completeTransfer({ jobId: next.jobId, epoch: 0, numBlocks: 2 })).toBeNull();
  expect(connector.completeTransfer({ jobId: next.jobId, epoch: 1, numBlocks: 2 })).toMatchObject({ state: "done" });
});

test("chunks that were not seen often enough are offered again when another prompt has them", () => {
  const now = () => 0;
  const manager = new HostManager({
    numSlots: 4,
    evictionPolicy: "lru",
    storeThreshold: 2,
    reserveSlot: () => true,
    now,
  });
  const { request, store } = makeConnector({ manager });
  const a = request("a", 12);
  expect([store(a), store(a)]).toEqual(["", ""]);
  request("b", 8);
  expect([store(a), store(a)]).toEqual(["1 2", ""]);
});

test("64 refused chunks are offered again in a step at most", () => {
  const policy = makeOffloadPolicy("storeOnCompute");
  const now = () => 0;
  const manager = new HostManager({
    numSlots: 1000,
    evictionPolicy: "lru",
    storeThreshold: 2,
    reserveSlot: () => true,
    now,
  });
  const { request, store } = makeConnector({ manager, policy, numStagingSlots: 1000, maxTransferBytesPerStep: 1e9 });
  const a = request("a", 400);
  expect(store(a)).toBe("");
  request("b", 400);
  expect([store(a), store(a)].map((each) => each.split(" ").length)).toEqual([64, 36]);
});

test("cleared: what was stored is stored again; what is on its way is nobody's", () => {
  const { connector, request, store } = makeConnector();
  const a = request("a", 8);
  expect(store(a)).toBe("1 2");
  connector.clear(["host"]);
  expect(connector.lookup(request("b", 9, 0), onGpu)).toEqual({ kind: "none" });
  expect(store(a)).toBe("1 2");
});

test.each([
  { name: "discarded", isCleared: false },
  { name: "cleared", isCleared: true },
])("$name: a store that waits gives up its lease, one in flight counts as failed", ({ isCleared }) => {
  const { connector, request } = makeConnector({ numStagingSlots: 1 });
  const a = request("a", 8);
  connector.beginStep();
  connector.offer("compute", a, blockAt);
  const [{ jobId }] = connector.takeTransfers().stores;
  const [waitingJobId] = connector.takeLeaseRequests().leases.keys();
  if (isCleared) connector.clear(["host"]);
  else connector.discard(a);
  expect([...connector.takeLeaseRequests().releases]).toEqual([waitingJobId]);
  connector.completeTransfer({ jobId, epoch: 0, numBlocks: 1 });
  expect(connector.stats).toMatchObject({
    numStores: 0,
    numStoresFailed: 1,
    numStoresWaiting: 0,
    numStoresInFlight: 0,
  });
});
