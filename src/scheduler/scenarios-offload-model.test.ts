import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { offload } from "./offload-moves.fixture";
import type { Request } from "./request";
import { MODES, tokens } from "./scheduler.fixture";

/** What a request begins with: two chunks that the host has, of one prompt or another, or nothing that anybody knows. */
const KINDS = [
  { seed: 1, numMore: 1, maxTokens: 1 },
  { seed: 1, numMore: 5, maxTokens: 8 },
  { seed: 2, numMore: 1, maxTokens: 9 },
  { seed: 0, numMore: 3, maxTokens: 17 },
] as const;
/** How long a copy takes, in turns; null: until nothing else is left to do. */
const DELAYS = [6, null] as const;
const POOLS = [5, 6, 7];

interface Case {
  readonly numUsable: number;
  readonly kinds: readonly (typeof KINDS)[number][];
  readonly delay: (typeof DELAYS)[number];
  /** A request that is aborted, and when. */
  readonly abort: { readonly index: number; readonly turn: number };
}

/** All pools, delays, and triples of kinds; the aborts go round. */
function cases(): Case[] {
  const triples = KINDS.flatMap((a) => KINDS.flatMap((b) => KINDS.map((c) => [a, b, c])));
  return POOLS.flatMap((numUsable) =>
    DELAYS.flatMap((delay) => triples.map((kinds) => ({ numUsable, delay, kinds }))),
  ).map((each, i) => ({ ...each, abort: { index: i % 4, turn: 1 + (i % 7) } }));
}

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  /** Plays a case to its end. Fails where nothing runs and nothing is in flight, but a request waits. */
  function play({ numUsable, kinds, delay, abort }: Case): OffloadDriver {
    const driver = new OffloadDriver(maxInFlightSteps, {
      numBlocks: numUsable + 1,
      numStagingSlots: 1,
      maxBlocksPerStep: 2,
    });
    for (const [i, requestId] of ["a", "b"].entries()) offload(driver, requestId, tokens(i + 1, 9), { maxTokens: 2 });
    driver.landsAtOnce = false;
    const requests = kinds.map(({ seed, numMore, maxTokens }, i) => {
      const head = seed ? tokens(seed, 8) : [];
      return driver.add("xyz"[i], [...head, ...tokens(30 + i, numMore)], { maxTokens });
    });
    const submitted = new Map<number, number>();
    for (let turn = 0; driver.scheduler.hasUnfinished; turn++) {
      if (turn === 300) throw new Error("it does not end");
      if (turn === abort.turn && abort.index < 3) driver.scheduler.abort("xyz"[abort.index]);
      const output = driver.schedule();
      const jobIds = driver.transfers.jobs.map(({ job }) => job.jobId);
      for (const jobId of jobIds) if (!submitted.has(jobId)) submitted.set(jobId, turn);
      const isStuck = output === null && driver.scheduler.numInFlightSteps === 0;
      if (isStuck && jobIds.length === 0) {
        const { numRunning, numLoading, numWaiting } = driver.scheduler;
        expect([numRunning, numLoading, numWaiting]).toEqual([0, 0, 0]);
      }
      for (const jobId of jobIds) {
        if (delay === null ? isStuck : turn - submitted.get(jobId)! >= delay) driver.land(jobId);
      }
      if (driver.scheduler.numInFlightSteps > (output ? maxInFlightSteps - 1 : 0)) driver.process();
    }
    checkAnswers(requests);
    return driver;
  }

  function checkAnswers(requests: readonly Request[]): void {
    for (const { outputTokenIds, numPromptTokens, maxTokens, finishReason } of requests) {
      const alone = Array.from({ length: maxTokens }, (_, i) => 500 + numPromptTokens + i);
      expect(outputTokenIds).toEqual(finishReason === "abort" ? alone.slice(0, outputTokenIds.length) : alone);
    }
  }

  test("in every small pool, with whatever hits, delays and aborts: nobody waits while nothing runs and nothing is in flight", () => {
    const all = cases();
    const sums = { numLoads: 0, numDeferrals: 0, numRevocations: 0, numPreemptions: 0, numCancelled: 0 };
    for (const each of all) {
      const driver = play(each);
      const { numLoads, numDeferrals, numStoresCancelled } = driver.connector.stats;
      sums.numLoads += numLoads;
      sums.numDeferrals += numDeferrals.loading + numDeferrals.pending;
      sums.numRevocations += driver.scheduler.stats.numRevocations;
      sums.numPreemptions += driver.scheduler.stats.numPreemptions;
      sums.numCancelled += numStoresCancelled;
      expect([driver.scheduler.numFreeBlocks, driver.hostSlots]).toEqual([
        each.numUsable,
        expect.stringMatching(/ 0 pending, \d+ idle, 0 pinned$/),
      ]);
    }
    // It would prove little if nothing of this happened.
    expect(Math.min(...Object.values(sums))).toBeGreaterThan(20);
    expect(all).toHaveLength(POOLS.length * DELAYS.length * KINDS.length ** 3);
  });

  test("conservation: blocks are free or held, slots free, pending, idle or pinned, after every turn; nothing is left at the end", () => {
    const driver = new OffloadDriver(maxInFlightSteps, {
      numBlocks: 12,
      numSlots: 9,
      numStagingSlots: 2,
      maxBlocksPerStep: 3,
    });
    for (const [i, requestId] of ["a", "b"].entries()) offload(driver, requestId, tokens(i + 1, 13), { maxTokens: 2 });
    for (const [i, requestId] of ["w", "x", "y", "z"].entries()) {
      driver.add(requestId, [...tokens((i % 2) + 1, 12), i], { maxTokens: 8 + i });
    }
    const seen = { pending: 0, idle: 0, pinned: 0, leased: 0 };
    driver.landsAtOnce = false;
    // checkIntegrity() counts afresh who holds each block, and is called after every half of a turn.
    for (let turn = 0; driver.scheduler.hasUnfinished; turn++) {
      if (turn === 300) throw new Error("it does not end");
      driver.turn();
      if (turn % 3 === 2) driver.landAll();
      const { numSlots, numFreeSlots, numPendingSlots, numIdleSlots, numPinnedSlots } = driver.manager.stats;
      expect(numFreeSlots + numPendingSlots + numIdleSlots + numPinnedSlots).toBe(numSlots);
      seen.pending += numPendingSlots;
      seen.idle += numIdleSlots;
      seen.pinned += numPinnedSlots;
      seen.leased += driver.connector.stats.numLeasedBlocks;
    }
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
    const { numUsableBlocks, numFreeBlocks, numBlocksOnlyLeased } = driver.scheduler;
    expect([numFreeBlocks, numBlocksOnlyLeased, driver.hostSlots]).toEqual([
      numUsableBlocks,
      0,
      "0 free, 0 pending, 9 idle, 0 pinned",
    ]);
    driver.connector.checkIntegrity(true);
  });
});
