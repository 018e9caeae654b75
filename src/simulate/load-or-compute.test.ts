import { describe, expect, test } from "vitest";
import { DEFAULT_OPTIONS, type SimulatorOptions } from "./options";
import { makeReport, type SimulationReport } from "./report";
import { simulate } from "./simulator";
import { TRACE_BLOCK_TOKENS, type TraceRequest } from "./trace";

const PROMPTS = 20;
const ROUNDS = 6;
const PROMPT_TOKENS = 2 * TRACE_BLOCK_TOKENS + 10;
/** 1 MB/s and 1 GB/s, as milliseconds a MiB. */
const SLOW = 2 ** 20 / 1e3;
const FAST = 2 ** 20 / 1e6;

/** 20 prompts of 1,034 tokens take turns, six times; the GPU's pool holds two of them. */
const TRACE = Array.from({ length: ROUNDS * PROMPTS }, (_, i): TraceRequest => {
  const hashIds = [0, 1, 2].map((block) => 3 * (i % PROMPTS) + block);
  return { timestampMs: 4000 * i, numPromptTokens: PROMPT_TOKENS, numOutputTokens: 4, hashIds };
});
const NUM_RETURNS = (ROUNDS - 1) * PROMPTS;
/** Of full blocks. */
const PREFIX_TOKENS = 2 * TRACE_BLOCK_TOKENS;

/** 4 KiB a token: a prompt is 4 MiB. */
const OPTIONS: SimulatorOptions = { ...DEFAULT_OPTIONS, pageBytes: 2 ** 16, numBlocks: 150 };
/** All prompts fit in RAM. */
const HOST = { hostBytes: 2 ** 28 };
/** RAM holds two prompts, so that what comes again is in storage. */
const STORAGE = { hostBytes: 2 ** 23, storageBytes: 2 ** 28 };

function run(options: Partial<SimulatorOptions> = {}): SimulationReport {
  const all = { ...OPTIONS, ...options };
  return makeReport(simulate(TRACE, all), all, 0);
}

const off = run();

describe.each([
  {
    tier: "RAM",
    slow: { ...HOST, copyInMsPerMiB: SLOW },
    fast: { ...HOST, copyInMsPerMiB: FAST },
    hitTokensWhenFast: { gpu: 0, host: NUM_RETURNS * PREFIX_TOKENS, storage: 0 },
    // Two of two steps each teach it, three more are probes.
    loadsWhenSlow: { numStarted: 5, numDeclined: NUM_RETURNS - 5 },
  },
  {
    tier: "storage",
    slow: { ...STORAGE, storageReadMsPerMiB: SLOW },
    fast: { ...STORAGE, storageReadMsPerMiB: FAST },
    hitTokensWhenFast: { gpu: 0, host: 0, storage: NUM_RETURNS * PREFIX_TOKENS },
    // Nobody waits for a read of 4 s: what is loaded was left in RAM by those of before.
    loadsWhenSlow: { numStarted: 6, numDeclined: 82 },
  },
])("what comes again is in $tier", ({ slow, fast, hitTokensWhenFast, loadsWhenSlow }) => {
  test("at 1 MB/s it computes, and the time to the first token is within 2 % of that without offload", () => {
    const report = run(slow);
    for (const share of ["p50", "p90"] as const) {
      const [ms, offMs] = [report.timeToFirstTokenMs![share], off.timeToFirstTokenMs![share]];
      expect(ms).toBeGreaterThan(0.98 * offMs);
      expect(ms).toBeLessThan(1.02 * offMs);
    }
    expect(report.offload!.loads).toMatchObject(loadsWhenSlow);
    expect(run(slow)).toEqual(report);
  });

  test("at 1 GB/s it loads", () => {
    const report = run(fast);
    expect(report.offload).toMatchObject({ loads: { numDeclined: 0 }, hitTokens: hitTokensWhenFast });
    expect(report.timeToFirstTokenMs!.p50).toBeLessThan(0.05 * off.timeToFirstTokenMs!.p50);
  });

  test("what is to be loaded always is, however slow that is", () => {
    const { offload, timeToFirstTokenMs } = run({ ...slow, loadPolicy: "always" });
    expect(offload!.loads.numDeclined).toBe(0);
    expect(timeToFirstTokenMs!.p90).toBeGreaterThan(3 * off.timeToFirstTokenMs!.p90);
  });
});
