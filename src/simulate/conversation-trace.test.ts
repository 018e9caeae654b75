import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { exampleGeometry } from "./example-model";
import { DEFAULT_OPTIONS, type SimulatorOptions } from "./options";
import { makeReport } from "./report";
import { simulate } from "./simulator";
import { parseTrace } from "./trace";

const FILE = fileURLToPath(new URL("../../../shared/traces/mooncake-fast25/conversation_trace.jsonl", import.meta.url));
const hasTrace = existsSync(FILE);
if (!hasTrace) console.warn("SKIPPED: the conversation trace (no ../shared/traces beside the repository)");

const PAGE_BYTES = exampleGeometry(512).pageBytes;

/** A GPU that keeps up with the arrivals: else prompts of 12,000 tokens pile up. */
const FAST: SimulatorOptions = {
  ...DEFAULT_OPTIONS,
  ...{ blockSize: 512, maxNumRunning: 256, maxNumBatchedTokens: 8192 },
  ...{ stepMs: 50, tokenMs: 0.01, contextTokenMs: 0 },
};

function run(numRequests: number, overrides: Partial<SimulatorOptions>) {
  const options = { ...FAST, ...overrides };
  return makeReport(simulate(parseTrace(readFileSync(FILE, "utf8"), FILE).slice(0, numRequests), options), options, 0);
}

/** All of it in the soak. `numHitBlocks` is a count over the file alone, of leading blocks that an earlier prompt had. */
const UNLIMITED = process.env.CAIRN_SOAK
  ? { numRequests: 12_031, numHitBlocks: 105_592, numPromptBlocks: 288_500 }
  : { numRequests: 2000, numHitBlocks: 15_754, numPromptBlocks: 54_559 };

describe.skipIf(!hasTrace)("the conversation trace", () => {
  test(`its first ${UNLIMITED.numRequests}, with an unlimited pool: all finish, and every block that was there before is hit`, {
    timeout: 180_000,
  }, () => {
    const { numRequests, ...expected } = UNLIMITED;
    const report = run(numRequests, { numBlocks: null });
    expect(report.requests).toEqual({ numFinished: numRequests, numRefused: {} });
    expect(report.prefixCache).toMatchObject(expected);
    expect(report.scheduler.numPreemptions).toBe(0);
  });

  // The largest of them takes 240 blocks.
  test.each([1, 2])(
    "its first 1,000 in a pool of 260 blocks, %i in flight: all finish, some after preemption",
    { timeout: 120_000 },
    (inFlight) => {
      const report = run(1000, { numBlocks: 260, admissionWatermark: 0, maxInFlightSteps: inFlight });
      expect(report.requests).toEqual({ numFinished: 1000, numRefused: {} });
      expect(report.scheduler.numPreemptions).toBeGreaterThan(0);
      expect(report.memory.peakBlocks).toBeLessThanOrEqual(259);
    },
  );

  test("its first 500: a pool of 500 blocks beside RAM for all hits what an unlimited pool does", {
    timeout: 120_000,
  }, () => {
    const unlimited = run(500, { numBlocks: null }).prefixCache;
    const alone = run(500, { numBlocks: 500 }).prefixCache;
    const { requests, prefixCache, offload } = run(500, {
      ...{ numBlocks: 500, hostBytes: 25_000 * PAGE_BYTES },
      ...{ maxTransferBytesPerStep: 64 * PAGE_BYTES, numStagingSlots: 64 },
      ...{ copyInMsPerMiB: 0.02, copyOutMsPerMiB: 0.02 },
    });
    expect(requests).toEqual({ numFinished: 500, numRefused: {} });
    expect(offload!.hitBlocks.gpu + offload!.hitBlocks.host).toBe(prefixCache.numHitBlocks);
    expect(offload!.hitTokens.gpu + offload!.hitTokens.host).toBe(prefixCache.numHitTokens);
    expect(prefixCache.numHitBlocks).toBe(unlimited.numHitBlocks);
    expect(prefixCache.numHitBlocks).toBeGreaterThan(4 * alone.numHitBlocks);
    expect(offload).toMatchObject({
      // Each block that was computed is stored once, and each that was hit in RAM is loaded once.
      loads: { numRevoked: 0, numFailed: 0, bytes: offload!.hitBlocks.host * PAGE_BYTES },
      stores: { numFailed: 0, numCancelled: 0 },
      host: { numEvictions: 0 },
    });
  });
});
