import { describe, expect, test } from "vitest";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import type { Request } from "./request";
import { Driver, MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  test("the victim is of the lowest priority, and of these the latest", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 7 });
    for (const [requestId, priority] of Object.entries({ a: 1, b: 0, c: 1 })) {
      driver.add(requestId, 7, { maxTokens: 3, priority });
    }
    expect(driver.turns(2).map(([step]) => step)).toEqual([
      "b@0 0..7 0:[1,2] samples, a@1 0..7 0:[3,4] samples, c@2 0..7 0:[5,6] samples",
      late
        ? "b@0 7..8 last samples, a@1 7..8 last samples, c@2 7..8 last samples"
        : "b@0 7..8 samples, a@1 7..8 samples, c@2 7..8 samples",
    ]);
    // b and a need a block each; both come from c, its tail first.
    expect(driver.run()).toEqual(
      late
        ? [
            ["", "b 508, a 508", "6,5"],
            ["b@0 8..9 2:[6] samples, a@1 8..9 2:[5] samples", "", ""],
            ["", "b 509 length, a 509 length", "5,6,2,1,4,3"],
            ["c@1 0..8 0:[5,6] samples", "", "2,1,4,3"],
            ["c@1 8..9 last 2:[2] samples", "c 508", "1,4,3"],
            ["", "c 509 length", "2,1,4,3,6,5"],
          ]
        : [
            ["b@0 8..9 2:[6] samples, a@1 8..9 2:[5] samples", "b 509 length, a 509 length", "5,6,2,1,4,3"],
            ["c@1 0..9 0:[5,6,2] samples", "c 509 length", "2,1,4,3,6,5"],
          ],
    );
  });

  test("a preempted request resumes with hits on its own blocks, and computes only the rest again", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 7 });
    driver.add("a", 7, { maxTokens: 3 });
    const request = driver.add("b", 13, { maxTokens: 5 });
    driver.turns(2);
    expect(driver.run()).toEqual(
      late
        ? [
            ["", "a 508", "6,5,4,3"],
            ["a@0 8..9 2:[6] samples", "", "5,4,3"],
            ["", "a 509 length", "6,5,4,3,2,1"],
            ["b@0 12..14 0:[3,4,5,6] samples", "", "2,1"],
            ["b@0 14..15 last samples", "b 514", "2,1"],
            ["b@0 15..16 last samples", "b 515", "2,1"],
            ["b@0 16..17 last 4:[2] samples", "b 516", "1"],
            ["", "b 517 length", "2,1,6,5,4,3"],
          ]
        : [
            ["a@0 8..9 2:[6] samples", "a 509 length", "6,5,4,3,2,1"],
            ["b@0 12..15 0:[3,4,5,6] samples", "b 515", "2,1"],
            ["b@0 15..16 samples", "b 516", "2,1"],
            ["b@0 16..17 4:[2] samples", "b 517 length", "2,1,6,5,4,3"],
          ],
    );
    expect(request.outputTokenIds).toEqual([513, 514, 515, 516, 517]);
    // Its own blocks are no cached tokens of its usage; the stats count every admission's.
    expect([request.numPreemptions, request.numCachedTokens, driver.scheduler.stats.numCachedTokens]).toEqual([
      1, 0, 12,
    ]);
  });

  test("it comes back as a new row, with the ids that were known: prompt and output in one chunk", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
    driver.add("a", 7, { maxTokens: 3 });
    driver.add("b", [11, 12, 13, 14, 15, 16, 17], { maxTokens: 4, usePrefixCache: false });
    const seen: unknown[] = [];
    while (driver.scheduler.hasUnfinished) {
      const output = driver.schedule();
      const entry = output?.scheduled.find(({ requestId }) => requestId === "b");
      if (entry && output!.newRows.length > 0) seen.push(output!.newRows, entry.tokens);
      if (!late || output === null || output.stepIndex > 0) driver.process();
    }
    expect(seen).toEqual([
      [
        { requestId: "a", row: 0, sampling: NEUTRAL_SAMPLING, history: null },
        { requestId: "b", row: 1, sampling: NEUTRAL_SAMPLING, history: null },
      ],
      { kind: "ids", ids: [11, 12, 13, 14, 15, 16, 17] },
      [{ requestId: "b", row: 0, sampling: NEUTRAL_SAMPLING, history: null }],
      { kind: "ids", ids: [11, 12, 13, 14, 15, 16, 17, 507, ...(late ? [] : [508])] },
    ]);
  });

  test("a new row of a request with penalties brings all ids that are known, of no other request any", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
    const sampling = { ...NEUTRAL_SAMPLING, presencePenalty: 0.5 };
    driver.add("a", 7, {
      maxTokens: 3,
      sampling: { ...NEUTRAL_SAMPLING, logitBias: new Map([[1, 1]]), numLogprobs: 3 },
    });
    const promptTokenIds = [11, 12, 13, 14, 15, 16, 17];
    driver.add("b", promptTokenIds, { maxTokens: 4, usePrefixCache: false, sampling });
    const seen: unknown[] = [];
    while (driver.scheduler.hasUnfinished) {
      const output = driver.schedule();
      seen.push(...(output?.newRows ?? []).map(({ requestId, history }) => [requestId, history]));
      if (!late || output === null || output.stepIndex > 0) driver.process();
    }
    expect(seen).toEqual([
      ["a", null],
      ["b", { promptTokenIds, outputTokenIds: [] }],
      ["b", { promptTokenIds, outputTokenIds: [507, ...(late ? [] : [508])] }],
    ]);
  });

  test("the last of those that run gives way itself when it is the one that needs a block", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 6 });
    driver.add("a", 7, { maxTokens: 3 });
    driver.add("b", 11, { maxTokens: 3 });
    driver.turns(2);
    expect(driver.run()).toEqual(
      late
        ? [
            ["", "a 508", "5,4,3"],
            ["a@0 8..9 2:[5] samples", "", "4,3"],
            ["", "a 509 length", "5,4,3,2,1"],
            ["b@0 8..12 0:[3,4,5] samples", "", "2,1"],
            ["b@0 12..13 last 3:[2] samples", "b 512", "1"],
            ["", "b 513 length", "2,1,5,4,3"],
          ]
        : [
            ["a@0 8..9 2:[5] samples", "a 509 length", "5,4,3,2,1"],
            ["b@0 8..13 0:[3,4,5,2] samples", "b 513 length", "2,1,5,4,3"],
          ],
    );
  });

  test("preempted in mid-prefill, it goes on where its full blocks end", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 9, maxNumBatchedTokens: 16, maxPrefillChunkTokens: 4 });
    for (const requestId of ["a", "b"]) driver.add(requestId, 2, { maxTokens: 7 });
    driver.turn();
    const request = driver.add("c", 23, { maxTokens: 2, priority: 1 });
    const turns = driver.turns(4);
    expect(turns.map(([, , free]) => free)).toEqual(["4,5,6,7,8", "5,6,7,8", "8", ""]);
    expect([request.status, request.numComputedTokens, request.numTokens]).toEqual(["running", 16, 23]);
    driver.turn();
    expect([request.status, driver.freeBlockIds]).toEqual(["preempted", "8,7,4,3"]);
    const last = late ? " last" : "";
    expect(driver.run().flatMap(([step]) => step || [])).toEqual([
      `a@0 7..8${last} samples, b@1 7..8${last} samples`,
      "c@1 16..20 0:[3,4,7,8,5]",
      "c@1 20..23 5:[1] samples",
      `c@1 23..24${last} samples`,
    ]);
    expect(driver.freeBlockIds).toBe("6,2,1,5,8,7,4,3");
  });

  describe("several victims", () => {
    /** f needs two blocks more for its last chunk; d and e, the last ones, have one each that is theirs alone. */
    function needTwoBlocks(numShared: number): { driver: Driver; requests: Request[] } {
      const numBlocks = 15 + numShared / 4;
      const driver = new Driver(maxInFlightSteps, { numBlocks, maxPrefillChunkTokens: 8, maxNumRunning: 6 });
      const low = { maxTokens: 6, priority: 1 };
      const requests = ["a", "b", "c"].map((requestId) => driver.add(requestId, 2, low));
      for (const [requestId, tail] of Object.entries({ d: 1, e: 2 })) {
        requests.push(driver.add(requestId, [...tokens(7, numShared), tail], low));
      }
      driver.turn();
      requests.push(driver.add("f", 32, { maxTokens: 2 }));
      driver.turns(3);
      expect([driver.scheduler.numRunning, driver.freeBlockIds]).toEqual([6, ""]);
      return { driver, requests };
    }

    test("are preempted in one step, from the end of the queue", () => {
      const { driver } = needTwoBlocks(0);
      expect(driver.turns(2)).toEqual(
        late
          ? [
              ["a@0 5..6 last samples, b@1 5..6 last samples, c@2 5..6 last samples", "a 505, b 505, c 505", "5,4"],
              [
                "f@5 24..32 6:[5,4] samples, a@0 6..7 last samples, b@1 6..7 last samples, c@2 6..7 last samples",
                "a 506, b 506, c 506",
                "",
              ],
            ]
          : [
              [
                "f@5 24..32 6:[5,4] samples, a@0 5..6 samples, b@1 5..6 samples, c@2 5..6 samples",
                "f 532, a 506, b 506, c 506",
                "",
              ],
              [
                "f@5 32..33 8:[14] samples, a@0 6..7 samples, b@1 6..7 samples",
                "f 533 length, a 507 length, b 507 length",
                "13,12,14,3,4,5,11,10,9,8,7,6,1,2",
              ],
            ],
      );
      driver.run();
    });

    test("blocks that others hold too are not counted on: what is short is taken at once", () => {
      const { driver } = needTwoBlocks(8);
      driver.schedule();
      expect([driver.scheduler.numRunning, driver.scheduler.stats.numPreemptions]).toEqual([4, 2]);
      driver.run();
    });

    test("all requests end with the ids that they get alone", () => {
      const { driver, requests } = needTwoBlocks(8);
      driver.run();
      expect(driver.scheduler.stats.numPreemptions).toBeGreaterThanOrEqual(2);
      for (const { outputTokenIds, numPromptTokens, maxTokens } of requests) {
        expect(outputTokenIds).toEqual(Array.from({ length: maxTokens }, (_, i) => 500 + numPromptTokens + i));
      }
      expect(driver.scheduler.numFreeBlocks).toBe(driver.scheduler.numUsableBlocks);
    });
  });

  test("nobody is admitted in a step that preempted, not even the victim", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 7 });
    for (const requestId of ["a", "b"]) driver.add(requestId, 11);
    driver.turns(2);
    driver.add("c", 1, { priority: -1 });
    driver.turn();
    expect([driver.scheduler.numRunning, driver.scheduler.numWaiting]).toEqual([1, 2]);
    expect(driver.turn()[0]).toBe(
      late ? "a@0 12..13 3:[6] samples, c@1 0..1 0:[5] samples" : "a@0 13..14 samples, c@1 0..1 0:[5] samples",
    );
    driver.run();
  });

  test("with steps in flight: late output is dropped, and the blocks are kept until the last step has landed", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
    driver.add("a", 7, { maxTokens: 4 });
    const request = driver.add("b", 7, { maxTokens: 4 });
    driver.turns(2);
    // a needs a third block.
    const output = driver.schedule();
    expect([request.status, request.numTokens, output === null]).toEqual(["preempted", late ? 8 : 9, late]);
    expect(driver.freeBlockIds).toBe(late ? "" : "3");
    expect(driver.process()).toEqual([late ? "a 508" : "a 509"]);
    expect(driver.freeBlockIds).toBe(late ? "4,3" : "3");
    expect(driver.run()).toEqual(
      late
        ? [
            ["a@0 8..9 2:[4] samples", "", "3"],
            ["a@0 9..10 last samples", "a 509", "3"],
            ["", "a 510 length", "4,3,2,1"],
            ["b@0 4..8 0:[3,4] samples", "", "2,1"],
            ["b@0 8..9 last 2:[2] samples", "b 508", "1"],
            ["b@0 9..10 last samples", "b 509", "1"],
            ["", "b 510 length", "2,1,4,3"],
          ]
        : [
            ["a@0 9..10 samples", "a 510 length", "4,3,2,1"],
            ["b@0 4..9 0:[3,4,2] samples", "b 509", "1"],
            ["b@0 9..10 samples", "b 510 length", "2,1,4,3"],
          ],
    );
    expect(request.outputTokenIds).toEqual([507, 508, 509, 510]);
  });
});
