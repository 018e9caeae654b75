import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, persist, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  describe("cascade", () => {
    test("a chunk that has arrived in RAM is written once, and counts as durable when the store says so", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      driver.storageEndsAtOnce = false;
      driver.add("a", tokens(1, 9), { maxTokens: 1 });
      while (driver.storage?.ops.length === 0) driver.turn();
      expect(driver.takeStorageOps()).toEqual(["write a0<0 a1<1"]);
      expect(driver.storageStats).toMatchObject({ numChunks: 0, bytesNotDurable: 4096, bytesDurable: 0 });
      driver.turns(2);
      expect([driver.scheduler.numRunning, driver.scheduler.hasUnfinished]).toEqual([0, true]);
      driver.storage?.endAll();
      driver.run();
      driver.turn();
      expect(driver.storageStats).toMatchObject({ numChunks: 2, bytes: 4096, bytesNotDurable: 0, bytesDurable: 4096 });
      expect([driver.takeStorageOps(), driver.scheduler.hasUnfinished]).toEqual([[], false]);
    });

    test("RAM may lose a chunk while it is written: it was copied when the write was handed on", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, numSlots: 2 });
      driver.storageEndsAtOnce = false;
      driver.add("a", tokens(1, 9), { maxTokens: 1 });
      while (driver.storage?.ops.length === 0) driver.turn();
      driver.storageEndsAtOnce = false;
      driver.add("b", 9, { maxTokens: 1 });
      driver.turns(4);
      expect(driver.lookup("a0", "a1", "b0", "b1")).toBe("miss miss hit hit");
      driver.storageEndsAtOnce = true;
      driver.run();
      driver.turn();
      expect(driver.lookup("a0", "a1", "b0", "b1")).toBe("stored stored hit hit");
      driver.scheduler.resetPrefixCache();
      const request = driver.add("c", [...tokens(1, 8), 1], { maxTokens: 1 });
      driver.run();
      expect(request.numStorageTokens).toBe(4);
    });

    test("a store that fails cascades to nowhere", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      driver.landsAtOnce = false;
      driver.add("a", tokens(1, 9), { maxTokens: 1 });
      driver.turns(3);
      driver.landAll(false);
      driver.run();
      expect([driver.takeStorageOps(), driver.storage?.records.size]).toEqual([[], 0]);
    });

    test("what storage has is not stored in RAM again; what RAM alone has is written when it is offered again", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      driver.storageEndsAtOnce = false;
      driver.add("a", tokens(1, 9), { maxTokens: 1 });
      while (driver.storage?.ops.length === 0) driver.turn();
      driver.storage?.endAll(false);
      driver.storageEndsAtOnce = true;
      driver.run();
      expect(driver.takeStorageOps()).toEqual(["write a0<0 a1<1"]);
      expect(driver.storageStats).toMatchObject({ numChunks: 0, numCascadeDropped: 2 });
      // b hits both on the GPU.
      driver.add("b", [...tokens(1, 8), 1], { maxTokens: 1 });
      driver.run();
      expect([driver.takeStorageOps(), driver.storageStats.numChunks]).toEqual([["write a0<0 a1<1"], 2]);
      driver.scheduler.clearTiers(["host"]);
      driver.add("c", [...tokens(1, 8), 2], { maxTokens: 1 });
      expect(copies(driver.run())).toEqual([]);
      expect([driver.takeStorageOps(), driver.hostSlots]).toEqual([[], "32 free, 0 pending, 0 idle, 0 pinned"]);
    });

    test("a filter of its own says which chunks are worth it", () => {
      const accepted = new Set<string>();
      const cascade = { accepts: (key: string) => accepted.has(key) };
      const driver = new OffloadDriver(maxInFlightSteps, { storage: { cascade } });
      driver.add("a", tokens(1, 9), { maxTokens: 1 });
      accepted.add(driver.keyOf("a1"));
      driver.run();
      expect([driver.takeStorageOps(), driver.lookup("a0", "a1")]).toEqual([["write a1<1"], "hit hit"]);
    });

    test("writes go out in their order, as many bytes at once as the store takes", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: { maxChunksInFlight: 3, chunkBytes: 2 ** 22 } });
      driver.storageEndsAtOnce = false;
      driver.add("a", tokens(1, 17), { maxTokens: 1 });
      while (driver.storage?.ops.length === 0) driver.turn();
      // 8 MiB an op, 12 at once.
      expect(driver.takeStorageOps()).toEqual(["write a0<0 a1<1", "write a2<2"]);
      driver.storage?.endNext();
      driver.turn();
      expect(driver.takeStorageOps()).toEqual(["write a3<3"]);
      driver.storageEndsAtOnce = true;
      driver.run();
    });

    test("of more chunks than may wait the oldest are dropped, and so is what leaves RAM before its turn", () => {
      const storage = { isOpened: false, chunkBytes: 2 ** 20, maxQueueBytes: 3 * 2 ** 20 };
      const driver = new OffloadDriver(maxInFlightSteps, { storage, numSlots: 4 });
      driver.add("a", 17, { maxTokens: 1 });
      driver.turn();
      driver.nowMs = 2000;
      driver.turns(5);
      expect(driver.storageStats).toMatchObject({ bytesNotDurable: 3 * 2 ** 20, numCascadeDropped: 1 });
      // b's chunk takes the slot of a's last.
      driver.add("b", 5, { maxTokens: 1 });
      driver.landsAtOnce = false;
      driver.turn();
      driver.nowMs = 4000;
      driver.schedule();
      driver.process();
      driver.storage?.open();
      driver.schedule();
      expect(driver.takeStorageOps()).toEqual(["write a1<1 a2<2"]);
      expect(driver.storageStats.numCascadeDropped).toBe(2);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
    });
  });

  describe("promotion", () => {
    test("a prefix of yesterday is read, then loaded, and counts as what came from storage", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 13));
      expect(driver.lookup("a0", "a1", "a2")).toBe("stored stored stored");
      const request = driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(work(driver.run())).toEqual([
        ["", "load a0 -> 4 a1 -> 5 a2 -> 6"],
        ["b@0 12..13 0:[4,5,6,7] samples", ""],
      ]);
      expect(driver.takeStorageOps()).toEqual(["read a0>2 a1>1 a2>0"]);
      expect([request.numCachedTokens, request.numExternalTokens, request.numStorageTokens]).toEqual([12, 12, 12]);
      expect(driver.scheduler.stats).toMatchObject({ numExternalTokens: 12, numStorageTokens: 12 });
      expect(driver.storageStats).toMatchObject({ numPromotions: 3, numPromoted: 3, numHeldSlots: 0 });
    });

    test("six requests with one stored prefix: each chunk is read once, and loaded once", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, maxNumRunning: 6 });
      persist(driver, "a", tokens(1, 9));
      driver.storageEndsAtOnce = false;
      const requests = [..."bcdefg"].map((id, i) => driver.add(id, [...tokens(1, 8), i], { maxTokens: 1 }));
      driver.turns(2);
      expect(driver.takeStorageOps()).toEqual(["read a0>1 a1>0"]);
      expect(driver.connector.stats.numDeferrals).toEqual({ loading: 0, pending: 6, retry: 0 });
      driver.storage?.endAll();
      driver.landsAtOnce = false;
      expect(copies(driver.turns(1))).toEqual(["load a0 -> 3 a1 -> 4"]);
      // Pinned for the five that wait, and by b's load.
      expect([driver.hostSlots, driver.storageStats.numHeldSlots]).toEqual(["30 free, 0 pending, 0 idle, 2 pinned", 2]);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
      expect([driver.takeStorageOps(), driver.connector.stats.numLoads]).toEqual([[], 1]);
      expect(requests.map(({ numStorageTokens }) => numStorageTokens)).toEqual([8, 0, 0, 0, 0, 0]);
      expect(driver.hostSlots).toBe("30 free, 0 pending, 2 idle, 0 pinned");
    });

    test("chunks of several blocks, and what RAM has of the prefix is not read again", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, blocksPerChunk: 2, loadPolicy: "always" });
      persist(driver, "a", tokens(1, 25));
      offload(driver, "b", [...tokens(1, 8), 1, 2, 3, 4, 5]);
      // b has brought a0 to RAM.
      driver.takeStorageOps();
      const request = driver.add("c", tokens(1, 17), { maxTokens: 1 });
      expect(copies(driver.run())[0]).toBe("load a0[0] -> 10 a0[1] -> 11 a1[0] -> 12 a1[1] -> 13");
      expect(driver.takeStorageOps()[0]).toMatch(/^read a1>\d$/);
      expect([request.numExternalTokens, request.numStorageTokens]).toEqual([16, 8]);
    });

    test("of a hybrid model, only what the query behind the boundary sees", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, windows: [null, 8], loadPolicy: "always" });
      persist(driver, "a", tokens(1, 17));
      driver.add("b", tokens(1, 17), { maxTokens: 1 });
      driver.run();
      const [read] = driver.takeStorageOps();
      expect(read.replaceAll(/>\d+/g, "")).toBe("read a0 a1 a2 a2/1 a3 a3/1");
    });

    test("what the GPU has is not read", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      driver.add("a", tokens(1, 9), { maxTokens: 1 });
      driver.run();
      driver.scheduler.clearTiers(["host"]);
      driver.takeStorageOps();
      driver.add("b", [...tokens(1, 8), 1], { maxTokens: 1 });
      driver.run();
      expect([driver.takeStorageOps(), driver.connector.stats.numLoads]).toEqual([[], 0]);
    });

    test("reads go out in the order of the queue and of each prefix, so many at once", () => {
      const storage = { maxReads: 1, chunkBytes: 2 ** 22 };
      const driver = new OffloadDriver(maxInFlightSteps, { storage });
      persist(driver, "a", tokens(1, 13));
      persist(driver, "b", tokens(2, 5));
      driver.storageEndsAtOnce = false;
      driver.add("c", tokens(1, 13), { maxTokens: 1 });
      driver.add("d", tokens(2, 5), { maxTokens: 1 });
      driver.turns(3);
      expect(driver.takeStorageOps()).toEqual(["read a0>2 a1>1"]);
      driver.storage?.endAll();
      driver.turn();
      expect(driver.takeStorageOps()).toEqual(["read a2>0 b0>3"]);
      driver.storageEndsAtOnce = true;
      driver.run();
      expect(driver.connector.stats.numLoads).toBe(2);
    });

    test("a prefix larger than RAM: half of RAM is read, the hit ends there, and the rest is computed", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, numSlots: 4, loadPolicy: "always" });
      persist(driver, "a", tokens(1, 9));
      persist(driver, "b", tokens(1, 17));
      persist(driver, "c", tokens(1, 25));
      expect(driver.storageStats.numChunks).toBe(6);
      const request = driver.add("d", tokens(1, 25), { maxTokens: 1 });
      const turns = work(driver.run());
      expect(driver.takeStorageOps()[0]).toMatch(/^read a0>\d a1>\d$/);
      expect(turns.map(([step]) => step.replace(/ 0:.*/, ""))).toEqual(["", "d@0 8..25"]);
      expect([request.numCachedTokens, request.numStorageTokens]).toEqual([8, 8]);
      expect(driver.storageStats.numCutForRoom).toBeGreaterThan(0);
    });

    test("what others hold of RAM's half ends the next one's hit; it does not wait for room", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, numSlots: 4 });
      persist(driver, "a", tokens(1, 9));
      persist(driver, "b", tokens(2, 9));
      driver.storageEndsAtOnce = false;
      driver.add("c", tokens(1, 9), { maxTokens: 1 });
      driver.add("d", tokens(2, 9), { maxTokens: 1 });
      expect(driver.turn()[0]).toMatch(/^d@0 0\.\.9 /);
      expect(driver.storageStats).toMatchObject({ numHeldSlots: 2, numCutForRoom: 2 });
      driver.storageEndsAtOnce = true;
      driver.run();
    });

    test("at least one chunk of every group, however small RAM is", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, windows: [null, 8], numSlots: 2 });
      persist(driver, "a", tokens(1, 5));
      expect(driver.storageStats.numChunks).toBe(2);
      const request = driver.add("b", tokens(1, 5), { maxTokens: 1 });
      driver.run();
      expect(request.numStorageTokens).toBe(4);
    });

    test("a chunk that is seen for the first time is promoted all the same", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, storeThreshold: 2 });
      persist(driver, "a", tokens(1, 9));
      expect(driver.storageStats.numChunks).toBe(0);
      persist(driver, "b", tokens(1, 9));
      expect(driver.storageStats.numChunks).toBe(2);
    });

    test("a prefetch says what came from storage", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 9));
      driver.add("b", tokens(1, 9), { isPrefetch: true, maxTokens: 1 });
      driver.run();
      const [prefetched] = driver.scheduler.takePrefetched();
      const { numCachedTokens, numExternalTokens, numStorageTokens } = prefetched;
      expect([numCachedTokens, numExternalTokens, numStorageTokens]).toEqual([8, 8, 8]);
    });

    test("what is used is touched in storage too, head first", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 13));
      driver.storage?.touched.splice(0);
      driver.add("b", [...tokens(1, 8), ...tokens(2, 5)], { maxTokens: 1 });
      driver.turn();
      // Not the third of b's chunks, which nobody has.
      expect(driver.storage?.touched).toEqual(["a0", "a1"]);
      driver.run();
    });
  });
});
