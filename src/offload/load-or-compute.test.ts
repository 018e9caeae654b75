import { describe, expect, test } from "vitest";
import { LoadOrCompute } from "./load-or-compute";
import type { NeededChunk } from "./prefix-lookup";

const BLOCK_SIZE = 4;
class Rates {
  nowMs = 0;
  readonly rates = new LoadOrCompute({ blockSize: BLOCK_SIZE, blocksPerChunk: 1 }, () => this.nowMs);
  #numSteps = 0;
  #numRequests = 0;

  step(numTokens: number, numBlocksLoaded: number, ms: number): void {
    this.rates.stepScheduled(this.#numSteps, numTokens, numBlocksLoaded);
    this.nowMs += ms;
    this.rates.stepProcessed(this.#numSteps++);
  }

  /** 1 ms a token, and so much a block and a chunk. */
  learn(msPerBlock: number, msPerChunk: number): void {
    this.step(100, 0, 100);
    for (let i = 0; i < 3; i++) {
      this.step(0, 10, 10 * msPerBlock);
      this.rates.chunksRead(10, 10 * msPerChunk);
    }
  }

  /** Chunks of one block at the end of a prefix. */
  isSooner(numInRam: number, numStored = 0, requestId = `${this.#numRequests++}`): boolean {
    const chunks = Array.from({ length: numInRam + numStored }, (_, i): NeededChunk => {
      return { key: `${i}`, lastBlock: 10 + i, state: i < numInRam ? "hit" : "stored" };
    });
    return this.rates.isSooner(requestId, chunks, numStored, 10 + chunks.length);
  }
}

describe("predictMs", () => {
  test("nothing is known before a step came back", () => {
    const { rates } = new Rates();
    rates.stepScheduled(0, 100, 0);
    expect(rates.predictMs(1)).toBe(Number.POSITIVE_INFINITY);
  });

  test("steps of few tokens do not count", () => {
    const all = new Rates();
    all.step(15, 0, 100);
    expect(all.rates.predictMs(1)).toBe(Number.POSITIVE_INFINITY);
    all.step(16, 0, 32);
    expect(all.rates.predictMs(10)).toBe(20);
  });

  test("a step that was scheduled behind another began when that one came back", () => {
    const all = new Rates();
    all.rates.stepScheduled(0, 15, 0);
    all.rates.stepScheduled(1, 20, 0);
    all.nowMs = 100;
    all.rates.stepProcessed(0);
    all.nowMs = 140;
    all.rates.stepProcessed(1);
    expect(all.rates.predictMs(1)).toBe(2);
  });

  test("steps that will not come back are forgotten, what was learned is not", () => {
    const all = new Rates();
    all.step(20, 0, 20);
    all.rates.stepScheduled(1, 20, 0);
    all.rates.forgetSteps();
    all.nowMs = 5000;
    all.rates.stepProcessed(1);
    expect(all.rates.predictMs(20)).toBe(20);
  });

  test("a slow load makes no token dear", () => {
    const all = new Rates();
    all.step(100, 0, 100);
    for (let i = 0; i < 5; i++) all.step(100, 1, 900);
    expect(all.rates.predictMs(1)).toBe(1);
  });
});

describe("isSooner", () => {
  test("with too few samples of loads, or none of tokens, it loads", () => {
    const all = new Rates();
    for (let i = 0; i < 5; i++) all.step(0, 1, 1000);
    expect(all.isSooner(1)).toBe(true);
    const some = new Rates();
    some.step(100, 0, 100);
    for (let i = 0; i < 2; i++) some.step(0, 1, 1000);
    expect(some.isSooner(1)).toBe(true);
    some.step(0, 1, 1000);
    expect(some.isSooner(1)).toBe(false);
  });

  test("a load costs what its step took beside its tokens", () => {
    for (const [ms, isSooner] of [
      [103, true],
      [105, false],
    ] as const) {
      const all = new Rates();
      all.step(100, 0, 100);
      for (let i = 0; i < 5; i++) all.step(100, 1, ms);
      expect(all.isSooner(1)).toBe(isSooner);
    }
  });

  test("whichever is sooner; loading where both are alike", () => {
    for (const [msPerBlock, isSooner] of [
      [3, true],
      [4, true],
      [5, false],
    ] as const) {
      const all = new Rates();
      all.learn(msPerBlock, 0);
      expect(all.isSooner(7)).toBe(isSooner);
    }
  });

  test("what is in storage costs its read and its load", () => {
    for (const [msPerChunk, isSooner] of [
      [2, true],
      [3, true],
      [4, false],
    ] as const) {
      const all = new Rates();
      all.learn(1, msPerChunk);
      expect(all.isSooner(0, 5)).toBe(isSooner);
    }
  });

  test("what lies behind the first chunk is computed with it, wherever it is", () => {
    const all = new Rates();
    all.learn(1, 4);
    const stored: NeededChunk = { key: "0", lastBlock: 10, state: "stored" };
    // 4 ms to read and 1 to load it; or 8 to compute it and the block behind it, which RAM has.
    expect(all.rates.isSooner("a", [stored], 1, 12)).toBe(true);
    expect(all.rates.isSooner("b", [stored], 1, 11)).toBe(false);
  });

  test("of those that compute the 8th loads all the same, asked as often as it is, then the 16th, 32nd, 64th, 64th", () => {
    const all = new Rates();
    all.learn(5, 0);
    const probes: number[] = [];
    for (let i = 1; i <= 184; i++) {
      if (!all.isSooner(1, 0, `r${i}`)) continue;
      probes.push(i);
      expect(all.isSooner(1, 0, `r${i}`)).toBe(true);
      all.step(0, 1, 5);
    }
    expect(probes).toEqual([8, 24, 56, 120, 184]);
  });

  test("one fast probe is believed, however slow all was before", () => {
    const all = new Rates();
    all.learn(1, 0);
    for (let i = 0; i < 15; i++) all.rates.chunksRead(10, 10_000);
    for (let i = 1; i < 8; i++) expect(all.isSooner(0, 2)).toBe(false);
    expect(all.isSooner(0, 2)).toBe(true);
    // Not known yet.
    expect(all.isSooner(0, 2)).toBe(false);
    all.rates.chunksRead(2, 2);
    expect([all.isSooner(0, 2), all.isSooner(0, 2)]).toEqual([true, true]);
  });

  test("a probe renews what was slow, and nothing else", () => {
    const all = new Rates();
    all.learn(1, 1000);
    for (let i = 1; i <= 8; i++) all.isSooner(0, 1);
    // Reads have no sample yet, but one load was slow.
    all.step(0, 1, 900);
    expect(all.isSooner(1)).toBe(true);
  });
});
