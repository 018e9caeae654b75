import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import type { Request } from "./request";
import { EOS, MODES, tokens } from "./scheduler.fixture";

const NUM_PROMPT_TOKENS = 6;
/** Output lengths that end just before, on and just behind two boundaries of chunks, whatever their size. */
const OUTPUT_LENGTHS = [1, 2, 3, 5, 6, 7, 9, 10, 11];

/** How a request of `numOutputTokens` ends, when it has them. */
const ENDINGS = ["length", "EOS", "stop string", "abort"] as const;

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  /** Runs one request to its end. Beside it, the positions that steps were given to write, as an onlooker counts them. */
  function runTo(
    ending: (typeof ENDINGS)[number],
    numOutputTokens: number,
    blocksPerChunk: number,
  ): { readonly driver: OffloadDriver; readonly request: Request; readonly numWritten: number } {
    const lastPosition = NUM_PROMPT_TOKENS + numOutputTokens - 1;
    const sample = (_: string, position: number) =>
      ending === "EOS" && position === lastPosition ? EOS : 500 + position;
    const driver = new OffloadDriver(maxInFlightSteps, { blocksPerChunk, sample });
    const maxTokens = ending === "length" ? numOutputTokens : 30;
    const request = driver.add("a", tokens(1, NUM_PROMPT_TOKENS), { maxTokens });
    let numWritten = 0;
    for (let turn = 0; driver.scheduler.hasUnfinished; turn++) {
      if (turn === 100) throw new Error("it does not end");
      const output = driver.schedule();
      driver.landAll();
      for (const entry of output?.scheduled ?? []) {
        numWritten = Math.max(numWritten, entry.startPosition + entry.numTokens);
      }
      const isDue = driver.scheduler.numInFlightSteps > (output ? maxInFlightSteps - 1 : 0);
      if (isDue) driver.process();
      if (request.status === "running" && request.outputTokenIds.length === numOutputTokens) {
        driver.scheduler.finish("a", ending === "abort" ? "abort" : "stop");
      }
    }
    expect(request.outputTokenIds).toHaveLength(numOutputTokens);
    return { driver, request, numWritten };
  }

  describe.each([1, 2])("chunks of %s blocks", (blocksPerChunk) => {
    test.each(ENDINGS)(
      "at an end by %s, what is stored is what the GPU's prefix cache has, chunk by chunk",
      (ending) => {
        for (const numOutputTokens of OUTPUT_LENGTHS) {
          const { driver, request, numWritten } = runTo(ending, numOutputTokens, blocksPerChunk);
          const numBlocks = Math.floor(Math.min(numWritten, request.numTokens) / 4);
          const numChunks = Math.floor(numBlocks / blocksPerChunk);
          const { numIdleSlots, numFreeSlots } = driver.manager.stats;
          expect([driver.scheduler.numCachedBlocks, numIdleSlots, numFreeSlots], `${numOutputTokens} ids`).toEqual([
            numBlocks,
            numChunks,
            32 - numChunks,
          ]);
          const hits = Array.from({ length: 6 }, (_, chunk) => driver.lookup(`a${chunk}`));
          expect(hits).toEqual(hits.map((_, chunk) => (chunk < numChunks ? "hit" : "miss")));
        }
      },
    );
  });

  test("an answer that fills its last chunk to the last id: that id was never fed, so the chunk is nowhere", () => {
    const { driver, numWritten } = runTo("length", 6, 1);
    expect([numWritten, driver.scheduler.numCachedBlocks, driver.lookup("a0", "a1", "a2")]).toEqual([
      11,
      2,
      "hit hit miss",
    ]);
    // EOS at the same place, in the step before or not: a step in flight has fed it, or nothing has.
    const eos = runTo("EOS", 6, 1);
    expect([eos.numWritten, eos.driver.lookup("a0", "a1", "a2")]).toEqual(
      late ? [12, "hit hit hit"] : [11, "hit hit miss"],
    );
  });
});
