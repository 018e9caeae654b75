import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, persist, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  /** Prompt a of three chunks is in storage, and nowhere else; b, which begins so, waits for it to be read. */
  function reading(options: ConstructorParameters<typeof OffloadDriver>[1] = {}): OffloadDriver {
    const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, ...options });
    persist(driver, "a", tokens(1, 13));
    driver.storageEndsAtOnce = false;
    driver.add("b", tokens(1, 13), { maxTokens: 1 });
    driver.turn();
    expect([driver.scheduler.numDeferred, driver.takeStorageOps()]).toEqual([1, ["read a0>2 a1>1 a2>0"]]);
    return driver;
  }

  describe("a chunk cannot be read", () => {
    test.each([
      ["first", "a0", [], "b@0 0..13"],
      ["second", "a1", ["load a0 -> 4"], "b@0 4..13"],
      ["last", "a2", ["load a0 -> 4 a1 -> 5"], "b@0 8..13"],
    ])(
      "the %s: what came before it is loaded, the rest is computed, and nobody asks for it again",
      (_, bad, loads, step) => {
        const driver = reading();
        const badKey = driver.keyOf(bad);
        driver.storage!.isGood = (key) => key !== badKey;
        driver.storageEndsAtOnce = true;
        driver.storage?.endAll();
        const turns = driver.run();
        expect(copies(turns).filter((each) => each.startsWith("load"))).toEqual(loads);
        expect(turns.find(([each]) => each)?.[0]).toContain(`${step} `);
        expect(driver.storageStats).toMatchObject({ numPromoted: 2, numPromotionsFailed: 1 });
        expect(driver.takeStorageOps().filter((each) => each.startsWith("read"))).toEqual([]);
      },
    );

    test("a failure is a miss for who asked, also when the record is found again", () => {
      const driver = reading();
      driver.storage!.isGood = () => false;
      driver.storage?.endAll();
      // Storage opens again before b is asked, and names all of them.
      driver.storage?.open();
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.13 /);
      expect([driver.takeStorageOps(), driver.lookup("a0")]).toEqual([[], "stored"]);
      driver.storageEndsAtOnce = true;
      driver.run();
    });

    test("others that share it do without it too; none waits", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 9));
      driver.storage!.isGood = () => false;
      for (const [i, id] of ["b", "c", "d"].entries()) driver.add(id, [...tokens(1, 8), i], { maxTokens: 1 });
      driver.run();
      expect(driver.storageStats).toMatchObject({ numPromotions: 2, numPromotionsFailed: 2 });
      expect(driver.connector.stats.numDeferrals.pending).toBe(3);
      // Storage is no more believed to have them, so that RAM took what was computed.
      expect([driver.lookup("a0", "a1"), driver.storageStats.numChunks]).toEqual(["hit hit", 2]);
    });
  });

  describe("no answer", () => {
    test("a read that never answers is waited for two seconds at most; its slots stay set aside, pins end", () => {
      const driver = reading();
      driver.add("c", [...tokens(1, 8), 1], { maxTokens: 1 });
      driver.turns(3);
      expect([driver.scheduler.numDeferred, driver.scheduler.nextDeadlineMs]).toEqual([2, 2000]);
      driver.nowMs = 2000;
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.13 .*c@1 /);
      driver.turns(3);
      expect(driver.scheduler.numRunning).toBe(0);
      expect([driver.storageStats.numHeldSlots, driver.scheduler.hasUnfinished]).toEqual([3, true]);
      // It answers in the end: the chunks are in RAM, and nobody's.
      driver.storage?.endAll();
      driver.turn();
      expect([driver.lookup("a0", "a1", "a2"), driver.scheduler.hasUnfinished]).toEqual(["hit hit hit", false]);
      expect(driver.hostSlots).toBe("29 free, 0 pending, 3 idle, 0 pinned");
    });

    test("some of it has come when the deadline passes: that is loaded", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: { chunkBytes: 2 ** 22, maxReads: 2 } });
      persist(driver, "a", tokens(1, 13));
      driver.storageEndsAtOnce = false;
      const request = driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      driver.storage?.endNext();
      driver.turn();
      expect([driver.hostSlots, driver.scheduler.numDeferred]).toEqual(["29 free, 1 pending, 0 idle, 2 pinned", 1]);
      driver.nowMs = 2000;
      expect(copies(driver.turns(1))[0]).toMatch(/^load a0 -> \d a1 -> \d$/);
      driver.storageEndsAtOnce = true;
      driver.run();
      expect([request.numExternalTokens, request.numStorageTokens]).toEqual([8, 8]);
    });

    test("chunks that are not being read yet are given up at the deadline, slots and all", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: { chunkBytes: 2 ** 22, maxReads: 1 } });
      persist(driver, "a", tokens(1, 13));
      driver.storageEndsAtOnce = false;
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      expect([driver.storageStats.numHeldSlots, driver.scheduler.numDeferred]).toEqual([3, 1]);
      driver.nowMs = 2000;
      driver.turns(2);
      expect([driver.takeStorageOps(), driver.storageStats.numHeldSlots]).toEqual([["read a0>2 a1>1"], 2]);
      driver.storageEndsAtOnce = true;
      driver.run();
    });

    test("nobody waits longer than computing would take, but where loads are wanted always: 30 seconds", () => {
      for (const [loadPolicy, deadlineMs] of [["auto", 290] as const, ["always", 30_170] as const]) {
        const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, loadPolicy });
        driver.add("x", 17, { maxTokens: 1 });
        driver.schedule();
        driver.nowMs = 170; // 10 ms a token.
        driver.process();
        driver.run();
        persist(driver, "a", tokens(1, 13));
        driver.nowMs = 170;
        driver.storageEndsAtOnce = false;
        driver.add("b", tokens(1, 13), { maxTokens: 1 });
        driver.turn();
        expect([loadPolicy, driver.scheduler.nextDeadlineMs]).toEqual([loadPolicy, deadlineMs]);
        driver.storageEndsAtOnce = true;
        driver.run();
      }
    });
  });

  describe("storage comes and goes", () => {
    test("before it is opened nobody knows what it has: requests wait, then read, or find nothing", () => {
      const driver = reading();
      driver.storage?.endAll();
      driver.run();
      const late = new OffloadDriver(maxInFlightSteps, { storage: { isOpened: false } });
      late.add("a", tokens(1, 13), { maxTokens: 1 });
      expect([late.turn()[0], late.scheduler.numDeferred]).toEqual(["", 1]);
      late.storage?.open();
      expect(late.turn()[0]).toMatch(/^a@0 0\.\.13 /);
      expect(late.connector.stats.numDeferrals).toEqual({ loading: 0, pending: 0, retry: 1 });
      late.run();
    });

    test("it never opens: RAM only from then on", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: { isOpened: false } });
      driver.add("a", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      driver.storage?.setState("off", "timeout");
      expect(driver.turn()[0]).toMatch(/^a@0 0\.\.13 /);
      driver.run();
      driver.scheduler.resetPrefixCache();
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(copies(driver.run())).toEqual(["load a0 -> 4 a1 -> 5 a2 -> 6"]);
      expect(driver.takeStorageOps()).toEqual([]);
      expect(driver.storageStats).toMatchObject({
        state: "off",
        lastFault: { code: "timeout", timeMs: 0 },
        numChunks: 0,
      });
    });

    test("it is lost while a chunk is read, and opens again: what it names then is there", () => {
      const driver = reading();
      driver.storage?.stop();
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.13 /);
      expect(driver.storageStats).toMatchObject({
        state: "starting",
        numPromotionsFailed: 3,
        lastFault: { code: "worker" },
      });
      driver.storage?.open();
      driver.storageEndsAtOnce = true;
      driver.run();
      driver.scheduler.resetPrefixCache();
      driver.scheduler.clearTiers(["host"]);
      const request = driver.add("c", tokens(1, 13), { maxTokens: 1 });
      driver.run();
      expect([request.numStorageTokens, driver.storageStats.state]).toEqual([12, "ready"]);
    });

    test("it is off while chunks wait to be read: who waits for them computes", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: { chunkBytes: 2 ** 22, maxReads: 1 } });
      persist(driver, "a", tokens(1, 13));
      driver.storageEndsAtOnce = false;
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      driver.storage?.stop("off");
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.13 /);
      expect(driver.storageStats).toMatchObject({ numHeldSlots: 0, numPromotionsFailed: 3, numChunks: 0 });
      driver.run();
    });

    test("it is full: what waits is dropped, nothing more is tried, and what it has is still read", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 9));
      driver.storage?.setState("readOnly", "quota");
      offload(driver, "b", 9);
      expect(driver.takeStorageOps()).toEqual([]);
      expect(driver.storageStats).toMatchObject({ state: "readOnly", bytesNotDurable: 0, numCascadeDropped: 0 });
      const request = driver.add("c", tokens(1, 9), { maxTokens: 1 });
      driver.run();
      expect(request.numStorageTokens).toBe(8);
      // There is room again. b's chunks are written when somebody offers them.
      driver.storage?.setState("ready");
      driver.scheduler.resetPrefixCache();
      driver.add("d", tokens("b".charCodeAt(0), 9), { maxTokens: 1 });
      driver.run();
      expect(driver.takeStorageOps().at(-1)).toMatch(/^write b0<\d b1<\d$/);
    });

    test("the device is lost while a chunk is read: the read goes on, and its request loads it to the next device", () => {
      const driver = reading();
      driver.loseDevice();
      driver.turn();
      expect(driver.takeStorageOps()).toEqual([]);
      driver.storage?.endAll();
      driver.storageEndsAtOnce = true;
      expect(work(driver.run())[0]).toEqual(["", "load a0 -> 1 a1 -> 2 a2 -> 3"]);
    });
  });
});
