import { describe, expect, test } from "vitest";
import type { StoreMoment } from "../offload/connector";
import {
  type ChunkRef,
  CursorPolicy,
  makeOffloadPolicy,
  type OfferOutcome,
  type OffloadPolicy,
  type StorableRequest,
} from "../offload/offload-policy";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, work } from "./offload-moves.fixture";
import { EOS, MODES, tokens } from "./scheduler.fixture";

/** Stores the first chunks of prompts in one group, and nothing of answers. All that it knows of is in offload-policy.ts. */
class PromptHeadPolicy implements OffloadPolicy {
  readonly storesEvicted = false;
  readonly #group: number;
  readonly #maxChunks: number;
  readonly #numOffered = new Map<string, number>();
  readonly outcomes: string[] = [];

  constructor(group: number, maxChunks: number) {
    this.#group = group;
    this.#maxChunks = maxChunks;
  }

  beginStep(): void {}

  select(_moment: StoreMoment, { requestId, numChunks }: StorableRequest): readonly ChunkRef[] {
    const start = this.#numOffered.get(requestId) ?? 0;
    const end = Math.max(start, Math.min(numChunks, this.#maxChunks));
    this.#numOffered.set(requestId, end);
    return Array.from({ length: end - start }, (_, i) => ({ group: this.#group, chunk: start + i }));
  }

  settle(requestId: string, { group, chunk }: ChunkRef, outcome: OfferOutcome): void {
    this.outcomes.push(`${requestId}${chunk}/${group} ${outcome}`);
  }

  putBack(): void {}

  forget(requestId: string): void {
    this.#numOffered.delete(requestId);
  }
}

/** storeOnCompute, and a record of what was said to it. */
class LoggedPolicy extends CursorPolicy {
  readonly log: string[] = [];

  override select(moment: StoreMoment, request: StorableRequest, storeEpoch: number): readonly ChunkRef[] {
    const chunks = super.select(moment, request, storeEpoch);
    if (chunks.length > 0) this.log.push(`${moment} ${request.requestId} ${chunks.map(({ chunk }) => chunk)}`);
    return chunks;
  }

  override forget(requestId: string): void {
    super.forget(requestId);
    this.log.push(`forget ${requestId}`);
  }
}

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  describe("storeOnCompute", () => {
    test("every chunk, as soon as it exists, and the last at the finish", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.add("a", 7, { maxTokens: 10 });
      const stores = work(driver.run()).map(([, transfers]) => transfers);
      expect(stores).toEqual([
        "",
        "store a0 <- 1",
        "store a1 <- 2",
        "",
        "",
        "",
        "store a2 <- 3",
        "",
        "",
        "",
        "store a3 <- 4",
      ]);
    });

    test("a request is told of as gone once, after its last chunk was offered, while its stores are under way", () => {
      const policy = new LoggedPolicy(["compute", "preempt", "finish"]);
      const driver = new OffloadDriver(maxInFlightSteps, { policy });
      driver.landsAtOnce = false;
      driver.add("a", 6, { maxTokens: 3 });
      while (driver.scheduler.numRunning + driver.scheduler.numWaiting > 0) driver.turn();
      expect(policy.log).toEqual(["compute a 0", late ? "compute a 1" : "finish a 1", "forget a"]);
      driver.turn();
      expect(driver.lookup("a0", "a1")).toBe("pending pending");
      driver.landAll();
      driver.run();
      expect(policy.log).toHaveLength(3);
    });

    test("each store's result makes its own chunk readable, whatever became of the others", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.landsAtOnce = false;
      driver.add("a", 13, { maxTokens: 1 });
      driver.turns(2);
      const [first, second, third] = driver.transfers.jobs.map(({ job }) => job.jobId);
      driver.land(second);
      expect(driver.lookup("a0", "a1", "a2")).toBe("pending hit pending");
      driver.land(first, false);
      driver.land(third);
      expect(driver.lookup("a0", "a1", "a2")).toBe("miss hit hit");
      driver.landsAtOnce = true;
      driver.run();
    });
  });

  describe("storeOnEvict", () => {
    test("nothing while requests run; what is handed out is copied with that step, and nothing else", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { policy: makeOffloadPolicy("storeOnEvict"), numBlocks: 7 });
      driver.add("a", 13, { maxTokens: 1 });
      expect(copies(driver.run())).toEqual([]);
      expect(driver.freeBlockIds).toBe("4,5,6,3,2,1");
      driver.add("b", 17, { maxTokens: 1 });
      expect(work(driver.run())).toEqual([["b@0 0..17 0:[4,5,6,3,2] samples", "store a2 <- 3, store a1 <- 2"]]);
    });

    test("a load that takes the blocks has them copied out first, too", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { policy: makeOffloadPolicy("storeOnEvict"), numBlocks: 6 });
      driver.add("a", tokens(1, 9), { maxTokens: 1 });
      driver.run();
      driver.add("b", 17, { maxTokens: 1 });
      driver.run();
      expect(driver.lookup("a0", "a1")).toBe("hit hit");
      driver.add("c", tokens(1, 9), { maxTokens: 1 });
      expect(copies(driver.turns(1))).toEqual(["store b3 <- 2, load a0 -> 1 a1 -> 2"]);
      driver.run();
    });

    test("what the tier has is not copied again", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { policy: makeOffloadPolicy("storeOnEvict"), numBlocks: 5 });
      for (const requestId of ["a", "b", "c"]) {
        driver.add(requestId, tokens(requestId === "b" ? 2 : 1, 13), { maxTokens: 1 });
        driver.run();
      }
      expect(driver.connector.stats.numStores).toBe(6);
      driver.add("d", tokens(2, 13), { maxTokens: 1 });
      expect(copies(driver.run()).some((each) => each.includes("store"))).toBe(false);
    });
  });

  describe("storeOnPreempt", () => {
    test("a preempted request's chunks, nobody else's", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { policy: makeOffloadPolicy("storeOnPreempt"), numBlocks: 7 });
      driver.add("a", 7, { maxTokens: 3 });
      driver.add("b", 13, { maxTokens: 5 });
      expect(copies(driver.run())).toEqual(["store b0 <- 3, store b1 <- 4, store b2 <- 5"]);
    });
  });

  describe("storeOnFinish", () => {
    test("all chunks of a request when it ends, in whatever way", () => {
      const sample = (requestId: string, position: number) =>
        requestId === "a" && position === 10 ? EOS : 500 + position;
      const driver = new OffloadDriver(maxInFlightSteps, { policy: makeOffloadPolicy("storeOnFinish"), sample });
      driver.add("a", 7, { maxTokens: 9 });
      driver.add("b", 5, { maxTokens: 30 });
      expect(copies(driver.turns(4))).toEqual([]);
      driver.turns(2);
      driver.scheduler.abort("b");
      driver.turns(2);
      expect(driver.lookup("a0", "a1", "b0", "b1")).toBe("hit hit hit hit");
      driver.run();
    });
  });

  describe("a policy of one's own", () => {
    test("only the first two chunks of each request, in one group", () => {
      const policy = new PromptHeadPolicy(1, 2);
      const driver = new OffloadDriver(maxInFlightSteps, { policy, windows: [null, 8] });
      driver.add("a", 13, { maxTokens: 6 });
      driver.add("b", 5, { maxTokens: 6 });
      driver.run();
      expect(policy.outcomes.sort()).toEqual(["a0/1 accepted", "a1/1 accepted", "b0/1 accepted", "b1/1 accepted"]);
      expect(driver.lookup("a0", "a1", "a0/1", "a1/1", "a2/1", "b0/1", "b1/1")).toBe("miss miss hit hit miss hit hit");
    });

    test("what has left the window by then is gone", () => {
      const policy = new PromptHeadPolicy(0, 2);
      const driver = new OffloadDriver(maxInFlightSteps, { policy, windows: [8], maxPrefillChunkTokens: 16 });
      const select = policy.select.bind(policy);
      policy.select = (moment, request) => (moment === "finish" ? select(moment, request) : []);
      driver.add("a", 13, { maxTokens: 4 });
      driver.run();
      expect(policy.outcomes).toEqual(["a0/0 gone", "a1/0 gone"]);
    });
  });

  describe("the reuse filter", () => {
    test("a chunk is stored after its second sighting, while the request that was refused still runs", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storeThreshold: 2 });
      driver.add("a", tokens(1, 9), { maxTokens: 20 });
      expect(copies(driver.turns(4))).toEqual([]);
      driver.add("b", [...tokens(1, 4), 7], { maxTokens: 1 });
      // Only the chunk that both prompts have.
      expect(copies(driver.turns(1))).toEqual(["store a0 <- 1"]);
      expect(copies(driver.run())).toEqual([]);
    });

    test("a prompt that comes twice, one after the other, is stored the second time", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storeThreshold: 2 });
      offload(driver, "a", tokens(1, 9));
      expect(driver.connector.stats.numStores).toBe(0);
      offload(driver, "b", tokens(1, 9));
      expect(driver.lookup("a0", "a1")).toBe("hit hit");
    });
  });

  describe("stores that fail", () => {
    test("are put back while the request holds the blocks", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.landsAtOnce = false;
      driver.add("a", 9, { maxTokens: 9 });
      driver.turns(2);
      driver.landAll(false);
      expect(driver.lookup("a0", "a1")).toBe("miss miss");
      expect(driver.turn()[1]).toBe("store a0 <- 1, store a1 <- 2");
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
      expect(driver.lookup("a0", "a1")).toBe("hit hit");
    });

    test("are lost when it has ended", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.landsAtOnce = false;
      driver.add("a", 9, { maxTokens: 1 });
      driver.turns(3);
      driver.landAll(false);
      expect(copies(driver.run())).toEqual([]);
      expect(driver.lookup("a0", "a1")).toBe("miss miss");
    });
  });
});
