import { expect, test } from "vitest";
import { kvKey } from "../kv/chunk";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { tokens } from "../kv/kv-request.fixture";
import { PrefixHashes } from "../kv/prefix-hashes";
import { HostTier } from "./host-tier.fixture";
import { Loads } from "./loads";

interface Setup {
  readonly numGroups?: number;
  readonly blocksPerChunk?: number;
  readonly numBlocks?: number;
}

/** `numBlocks` blocks a group of one prefix, all in the tier. */
function makeLoads({ numGroups = 1, blocksPerChunk = 1, numBlocks = 4 }: Setup = {}) {
  // Groups of different windows are groups of their own.
  const geometry = geometryWithWindows([null, 400, 800].slice(0, numGroups), 4, blocksPerChunk);
  const ids = tokens(1, 4 * numBlocks);
  const prefixHashes = new PrefixHashes(4, { cacheSalt: null }, (start, end) => ids.slice(start, end));
  const tier = new HostTier({ numSlots: 16 });
  const names = new Map<string, string>();
  for (let chunk = 0; chunk < numBlocks / blocksPerChunk; chunk++) {
    for (let group = 0; group < numGroups; group++) {
      const key = kvKey(group, prefixHashes.at((chunk + 1) * blocksPerChunk - 1));
      names.set(key, `${chunk}${group > 0 ? `/${group}` : ""}`);
      for (const { slotId } of tier.manager.prepareStore([key]).accepted) tier.manager.completeStore(slotId, true);
    }
  }
  const clock = { nowMs: 0 };
  const changed: string[] = [];
  let numJobs = 0;
  const loads = new Loads({
    geometry,
    manager: tier.manager,
    nextJobId: () => ++numJobs,
    now: () => clock.nowMs,
    onChanged: (key) => changed.push(names.get(key)!),
  });
  /** Begins a load of all blocks from `first` on, into blocks 10, 11 and so on. */
  const start = (requestId: string, first = 0) => {
    const targets = Array.from({ length: (numBlocks - first) * numGroups }, (_, i) => ({
      group: i % numGroups,
      index: first + Math.floor(i / numGroups),
      blockId: 10 + i,
    }));
    loads.start(requestId, prefixHashes, targets);
  };
  /** The next part: block ids of the job, and its tokens. */
  const plan = (requestId: string, maxTokens: number, maxBlocks = 100) => {
    const planned = loads.plan(requestId, maxTokens, maxBlocks, 0);
    return planned && [planned.job.blocks.map(({ blockId }) => blockId).join(), planned.numTokens];
  };
  const keyOf = (name: string) => [...names].find(([, each]) => each === name)![0];
  const check = () => {
    loads.checkIntegrity();
    tier.manager.checkIntegrity({ numPending: 0, numReaders: loads.numReaders });
    for (const requestId of ["a", "b"]) loads.end(requestId);
    loads.endAll();
    expect([loads.numLive, loads.numJobs, loads.numReaders]).toEqual([0, 0, 0]);
  };
  return { loads, tier, clock, changed, names, start, plan, keyOf, check };
}

test("parts of as many tokens as the step has left, in whole blocks; one at least; then no more", () => {
  const { start, plan, check } = makeLoads();
  start("a");
  expect([plan("a", 9), plan("a", 1), plan("a", 100), plan("a", 100)]).toEqual([
    ["10,11", 8],
    ["12", 4],
    ["13", 4],
    null,
  ]);
  check();
});

test("and of as many blocks as the step may copy; those of one position in all groups are never parted", () => {
  const { start, plan, check } = makeLoads({ numGroups: 2 });
  start("a");
  expect([plan("a", 100, 5), plan("a", 100, 1), plan("a", 100, 0)]).toEqual([
    ["10,11,12,13", 8],
    ["14,15", 4],
    ["16,17", 4],
  ]);
  check();
});

test("nobody's load has no part", () => {
  const { plan, check } = makeLoads();
  expect(plan("a", 100)).toBeNull();
  check();
});

test("a job names slot, place in the chunk, and block", () => {
  const { loads, tier, start, keyOf, check } = makeLoads({ blocksPerChunk: 2 });
  start("a", 1); // From the middle of the first chunk on.
  const { job } = loads.plan("a", 100, 100, 7)!;
  expect([tier.lookup(""), job.epoch, loads.numReaders]).toEqual(["", 7, 2]);
  const [first, second] = [job.blocks[0].slotId, job.blocks[1].slotId];
  expect(job.blocks).toEqual([
    { slotId: first, blockInChunk: 1, blockId: 10 },
    { slotId: second, blockInChunk: 0, blockId: 11 },
    { slotId: second, blockInChunk: 1, blockId: 12 },
  ]);
  expect([loads.isLoading(keyOf("0")), loads.isLoading(keyOf("1"))]).toEqual([true, true]);
  check();
});

test("parts arrive one by one: what has arrived is told, and is not being loaded any more", () => {
  const { loads, changed, start, plan, keyOf, check } = makeLoads({ numBlocks: 2 });
  start("a");
  plan("a", 4);
  plan("a", 4);
  expect(loads.complete(1, 1)).toEqual({
    requestId: "a",
    arrived: [{ group: 0, index: 0, blockId: 10 }],
    state: "loading",
    failedKeys: [],
  });
  expect([loads.isLoading(keyOf("0")), loads.isLoading(keyOf("1")), changed]).toEqual([false, true, ["0"]]);
  expect(loads.complete(2, 1)).toMatchObject({ state: "done" });
  expect([loads.has("a"), loads.isLoading(keyOf("1")), loads.numReaders]).toEqual([false, false, 0]);
  check();
});

test("the first block that does not arrive ends it: it and what is behind it in its job are named", () => {
  const { loads, start, plan, keyOf, check } = makeLoads();
  start("a");
  plan("a", 12);
  const outcome = loads.complete(1, 1);
  expect(outcome).toMatchObject({ state: "failed", failedKeys: [keyOf("1"), keyOf("2")] });
  expect(outcome?.arrived.map(({ blockId }) => blockId)).toEqual([10]);
  expect([loads.has("a"), loads.numReaders]).toEqual([false, 0]);
  check();
});

test("failed with another part on its way: the slots stay pinned until that was heard of, which changes nothing else", () => {
  const { loads, start, plan, check } = makeLoads();
  start("a");
  plan("a", 8);
  plan("a", 8);
  expect(loads.complete(1, 0)).toMatchObject({ state: "failed", arrived: [] });
  expect(loads.numReaders).toBe(4);
  expect(loads.complete(2, 2)).toBeNull();
  expect(loads.numReaders).toBe(0);
  check();
});

test("ended from outside: unpinned at once where no job reads, else with the last job", () => {
  const { loads, changed, start, plan, check } = makeLoads();
  start("a");
  loads.end("a");
  expect([loads.numReaders, changed]).toEqual([0, ["0", "1", "2", "3"]]);
  start("b");
  plan("b", 4);
  loads.end("b");
  expect([loads.numLive, loads.numJobs, loads.numReaders, loads.ownerOf(1)]).toEqual([0, 1, 4, "b"]);
  expect(loads.complete(1, 1)).toBeNull();
  expect(loads.numReaders).toBe(0);
  loads.end("b");
  check();
});

test("two loads of the same chunks pin them twice", () => {
  const { loads, tier, start, plan, check } = makeLoads();
  start("a");
  start("b", 2);
  expect(loads.numReaders).toBe(6);
  plan("a", 100);
  loads.complete(1, 4);
  expect([loads.numReaders, tier.slots]).toEqual([2, [12, 0, 2, 2]]);
  check();
});

test("a request loads once at a time", () => {
  const { start, check } = makeLoads();
  start("a");
  expect(() => start("a")).toThrow("request a loads already");
  check();
});

test("silent for two seconds, counted from its last sign of life: it has failed; its job goes on", () => {
  const { loads, clock, start, plan, keyOf, check } = makeLoads({ numBlocks: 3 });
  start("a");
  expect(loads.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
  plan("a", 4);
  plan("a", 4);
  expect(loads.nextDeadlineMs).toBe(2000);
  clock.nowMs = 1500;
  loads.complete(1, 1);
  expect(loads.nextDeadlineMs).toBe(3500);
  clock.nowMs = 3499;
  expect(loads.failOverdue()).toEqual([]);
  clock.nowMs = 3500;
  // What was never sent is no miss; what was sent is.
  expect(loads.failOverdue()).toEqual([{ requestId: "a", arrived: [], state: "failed", failedKeys: [keyOf("1")] }]);
  expect([loads.numLive, loads.numReaders, loads.nextDeadlineMs]).toEqual([0, 3, Number.POSITIVE_INFINITY]);
  expect(loads.complete(2, 1)).toBeNull();
  expect(loads.numReaders).toBe(0);
  check();
});

test("another device: every job fails, and nobody hears of it", () => {
  const { loads, start, plan, check } = makeLoads();
  start("a");
  plan("a", 4);
  start("b");
  plan("b", 4);
  loads.end("b");
  loads.endAll();
  expect([loads.numLive, loads.numJobs, loads.numReaders, loads.complete(1, 1)]).toEqual([0, 0, 0, null]);
  check();
});
