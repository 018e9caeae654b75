import { expect, test } from "vitest";
import { HostTier } from "./host-tier.fixture";
import { Stores, type StoresOptions } from "./stores";

/** Chunks of one block, named by letters; block ids count up. */
function makeStores(options: Partial<StoresOptions> = {}) {
  const changed: string[] = [];
  const tier = new HostTier({ numSlots: 16 });
  let numJobs = 0;
  let numBlocks = 0;
  const stores = new Stores({
    manager: tier.manager,
    nextJobId: () => ++numJobs,
    numStagingSlots: 2,
    blocksPerChunk: 1,
    maxLeasedBlocks: 3,
    maxChunksPerStep: 8,
    onChanged: (key) => changed.push(key),
    ...options,
  });
  /** Plans a store of each chunk, for request r unless told otherwise. */
  const plan = (keys: string, requestId: string | null = "r") => {
    for (const { key, slotId } of tier.manager.prepareStore([...keys]).accepted) {
      const owner = requestId === null ? null : { requestId, chunk: { group: 0, chunk: 0 } };
      stores.plan({ key, blockIds: [++numBlocks], owner }, slotId, 0);
    }
  };
  /** Keys of what goes with the step. */
  const submitted = () =>
    stores
      .takeSubmitted()
      .map(({ key }) => key)
      .join("");
  /** What is asked for: "lease 1:1, release 2" is a lease of job 1 on block 1, and job 2's given up. */
  const asked = () => {
    const { leases, releases } = stores.takeLeaseRequests();
    const taken = [...leases].map(([jobId, blockIds]) => `lease ${jobId}:${blockIds}`);
    return [...taken, ...[...releases].map((jobId) => `release ${jobId}`)].join(", ");
  };
  /** The books must agree after each test that says so; what is pending in the tier is what is under way here. */
  const check = () => {
    stores.checkIntegrity();
    tier.manager.checkIntegrity({ numPending: stores.size, numReaders: 0 });
    // The fixture counts only what went through it.
    if (stores.size > 0) stores.endAll();
  };
  return { stores, tier, changed, plan, submitted, asked, check };
}

test("planned between steps: it takes a lease, and gives it up when it goes with the next step", () => {
  const { stores, plan, submitted, asked, check } = makeStores();
  plan("ab");
  expect([asked(), stores.numLeasedBlocks, stores.numWaiting]).toEqual(["lease 1:1, lease 2:2", 2, 2]);
  stores.beginStep();
  expect([asked(), submitted(), stores.numLeasedBlocks, stores.numInFlight]).toEqual([
    "release 1, release 2",
    "ab",
    0,
    2,
  ]);
  check();
});

test("planned while a step with room is put together: it goes at once, and needs no lease", () => {
  const { stores, plan, submitted, asked, check } = makeStores();
  stores.beginStep();
  plan("a");
  expect([asked(), submitted()]).toEqual(["", "a"]);
  // The step is on its way: what comes now waits for the next.
  plan("b");
  expect([asked(), submitted()]).toEqual(["lease 2:2", ""]);
  check();
});

test("a full staging ring: the oldest go first, as results make room", () => {
  const { stores, tier, plan, submitted, asked, check } = makeStores();
  plan("abc");
  stores.beginStep();
  expect([submitted(), stores.numWaiting]).toEqual(["ab", 1]);
  asked();
  stores.beginStep();
  expect(submitted()).toBe("");
  expect(stores.complete(2, 1)).toMatchObject({ isStored: true });
  expect(tier.lookup("abc")).toBe("pending hit pending");
  stores.beginStep();
  expect([submitted(), asked()]).toEqual(["c", "release 3"]);
  check();
});

test("no more chunks in a step than its bytes allow", () => {
  const { stores, plan, submitted, check } = makeStores({ numStagingSlots: 8, maxChunksPerStep: 2 });
  plan("abc");
  stores.beginStep();
  expect(submitted()).toBe("ab");
  stores.beginStep();
  expect(submitted()).toBe("c");
  check();
});

test("room: what the open step still takes, and what leases may wait for", () => {
  const { stores, plan, check } = makeStores();
  expect([stores.room, stores.roomInStep]).toEqual([3, 0]);
  stores.beginStep();
  expect([stores.room, stores.roomInStep]).toEqual([5, 2]);
  plan("abcd");
  expect([stores.room, stores.roomInStep, stores.numWaiting]).toEqual([1, 0, 2]);
  plan("e");
  expect(stores.room).toBe(0);
  check();
});

test("a chunk that is larger than what leases may hold still gets its turn", () => {
  const { stores } = makeStores({ blocksPerChunk: 4, maxLeasedBlocks: 3 });
  expect(stores.room).toBe(1);
});

test("refused stores may find room after a submit", () => {
  const { stores, plan, check } = makeStores();
  const before = stores.numRoomsMade;
  plan("a");
  expect(stores.numRoomsMade).toBe(before);
  stores.beginStep();
  expect(stores.numRoomsMade).toBeGreaterThan(before);
  check();
});

test("the newest store that waits and is worth it is given up; the tier forgets it, who waited for it is told", () => {
  const { stores, tier, changed, plan, submitted, asked, check } = makeStores();
  plan("abc");
  asked();
  expect(stores.cancelNewest(([blockId]) => blockId !== 3)).toBe(true);
  expect([asked(), tier.lookup("abc"), changed]).toEqual(["release 2", "pending miss pending", ["b"]]);
  expect([stores.cancelNewest(() => false), stores.numCancelled]).toEqual([false, 1]);
  stores.beginStep();
  expect(submitted()).toBe("ac");
  // Nothing waits any more: what is submitted is not to be had.
  expect(stores.cancelNewest(() => true)).toBe(false);
  check();
});

test("a store that fails was never there; its owner learns what to offer again", () => {
  const { stores, tier, changed, plan, check } = makeStores();
  stores.beginStep();
  plan("a");
  expect(stores.complete(1, 0)).toEqual({ isStored: false, owner: { requestId: "r", chunk: { group: 0, chunk: 0 } } });
  expect([tier.lookup("a"), stores.numFailed, stores.numStored, changed]).toEqual(["miss", 1, 0, ["a"]]);
  check();
});

test("a result for a job that is none of these, or a second one, is none", () => {
  const { stores, plan, check } = makeStores();
  stores.beginStep();
  plan("a");
  expect(stores.complete(9, 1)).toBeNull();
  stores.complete(1, 1);
  expect(stores.complete(1, 1)).toBeNull();
  expect(stores.numStored).toBe(1);
  check();
});

test("a result before the copy went is an error", () => {
  const { stores, plan, check } = makeStores();
  plan("a");
  expect(() => stores.complete(1, 1)).toThrow("store 1 has a result, but was not submitted");
  check();
});

test("what a request stores is not to be believed: what waits is given up, what is in flight is void, others' go on", () => {
  const { stores, tier, plan, asked, check } = makeStores({ numStagingSlots: 3 });
  stores.beginStep();
  plan("a");
  plan("b", "s");
  stores.takeSubmitted();
  plan("c");
  asked();
  stores.discard("r");
  expect(asked()).toBe("release 3");
  expect(stores.complete(1, 1)).toEqual({ isStored: false, owner: null });
  expect(stores.complete(2, 1)).toMatchObject({ isStored: true });
  expect(tier.lookup("abc")).toBe("miss hit miss");
  check();
});

test("all are void when the tiers are cleared", () => {
  const { stores, tier, plan, check } = makeStores();
  stores.beginStep();
  plan("a");
  stores.takeSubmitted();
  plan("b");
  stores.voidAll();
  expect([stores.size, stores.complete(1, 1)?.isStored, tier.lookup("ab")]).toEqual([1, false, "miss miss"]);
  check();
});

test("another device: nothing is under way, leased, or asked for", () => {
  const { stores, tier, plan, submitted, asked, check } = makeStores();
  stores.beginStep();
  plan("abc");
  stores.endAll();
  expect([stores.size, stores.numInFlight, stores.numWaiting, asked(), submitted()]).toEqual([0, 0, 0, "", ""]);
  expect([tier.lookup("abc"), stores.complete(1, 1)]).toEqual(["miss miss miss", null]);
  check();
});
