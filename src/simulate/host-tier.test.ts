import { describe, expect, test } from "vitest";
import { DEFAULT_OPTIONS, type SimulatorOptions } from "./options";
import { formatReport, makeReport } from "./report";
import { simulate } from "./simulator";
import type { TraceRequest } from "./trace";

/** Blocks of half a MiB: 3 ms to RAM, and 5 until they are there; 1 ms from it. */
const OPTIONS: SimulatorOptions = {
  ...DEFAULT_OPTIONS,
  ...{ numBlocks: 11, maxNumRunning: 4, maxNumBatchedTokens: 64, admissionWatermark: 0 },
  ...{ stepMs: 8, tokenMs: 1, contextTokenMs: 0.25, readbackMs: 3 },
  ...{ hostBytes: 2 ** 26, copyInMsPerMiB: 2, copyOutMsPerMiB: 6, mapMs: 5 },
};

function traced(timestampMs: number, numPromptTokens: number, hashId: number): TraceRequest {
  return { timestampMs, numPromptTokens, numOutputTokens: 1, hashIds: [hashId] };
}

function run(trace: readonly TraceRequest[], options: Partial<SimulatorOptions> = {}) {
  const all = { ...OPTIONS, ...options };
  return makeReport(simulate(trace, all), all, 0);
}

/** The second takes every block that the first had; the third has the first one's two full blocks. */
const RETURN = [traced(0, 40, 7), traced(500, 150, 8), traced(2000, 40, 7)];

describe("a prompt that comes again after its blocks were handed out", () => {
  test("one step in flight: what it loads for 2 ms is read back, then 8 tokens are computed in 26 ms", () => {
    const report = run(RETURN, { maxInFlightSteps: 1 });
    expect(report.durationMs).toBe(2000 + 2 + 3 + 26 + 3);
    expect(report.queueMs?.max).toBe(2 + 3);
    expect(report.prefixCache).toMatchObject({ numHitBlocks: 2, numHitTokens: 32 });
    expect(report.offload).toMatchObject({
      hitTokens: { gpu: 0, host: 32 },
      hitBlocks: { gpu: 0, host: 2 },
      loads: { numStarted: 1, numRevoked: 0, numFailed: 0, peakLoading: 1, bytes: 2 ** 20 },
      // 2 and 9 full blocks; those of the third are there already.
      stores: { numDone: 11, numFailed: 0, numCancelled: 0, bytes: 11 * 2 ** 19 },
      host: { numSlots: 128, chunkBytes: 2 ** 19, numEvictions: 0 },
      copyMs: 11 * 3 + 2,
    });
  });

  test("two in flight: a load's result is there at once, so the step that computes follows it without a gap", () => {
    const report = run(RETURN);
    expect(report.durationMs).toBe(2000 + 2 + 26 + 3);
    expect(report.queueMs?.max).toBe(0);
  });

  test("of two that come together, one waits for the other's load, and hits its blocks", () => {
    const report = run([...RETURN, traced(2000, 40, 7)]);
    expect(report.offload).toMatchObject({
      hitTokens: { gpu: 32, host: 32 },
      loads: { numStarted: 1 },
      deferrals: { loading: 1, pending: 0, retry: 0, numTimedOut: 0 },
    });
  });

  test("copies that take longer than computing would: who waits for a store to arrive computes at its deadline", () => {
    const report = run([traced(0, 40, 7), traced(500, 150, 8), traced(1070, 40, 7)], {
      offloadPolicy: "storeOnEvict",
      mapMs: 100_000,
    });
    expect(report.offload).toMatchObject({ deferrals: { pending: 1, numTimedOut: 1 }, hitTokens: { gpu: 0, host: 0 } });
    expect(report.requests.numFinished).toBe(3);
  });

  test.each([
    ["storeOnEvict", 32, 4],
    ["storeOnFinish", 32, 4],
    ["storeOnPreempt", 0, 0],
  ] as const)("%s", (offloadPolicy, numHostTokens, numStores) => {
    const { offload } = run(RETURN, { offloadPolicy, maxInFlightSteps: 1 });
    expect(offload).toMatchObject({ hitTokens: { gpu: 0, host: numHostTokens }, stores: { numDone: numStores } });
  });

  test("a tier that is too small for both evicts, and tells how soon that was regretted", () => {
    const report = run(RETURN, { hostBytes: 10 * 2 ** 19 });
    expect(report.offload?.hitTokens).toEqual({ gpu: 0, host: 16, storage: 0 });
    expect(report.offload?.host).toMatchObject({ numSlots: 10, numEvictions: 2, numReusedAfterEviction: 1 });
    expect(report.offload?.host.meanEvictToReuseMs).toBeGreaterThan(1000);
  });

  test("a threshold of 2 stores only what came twice", () => {
    const { offload } = run(RETURN, { storeThreshold: 2 });
    expect(offload).toMatchObject({ hitTokens: { gpu: 0, host: 0 }, stores: { numDone: 2 } });
    expect(offload?.stores.numRefused.unseen).toBe(11);
  });
});

test("pages of another size have chunks of another size", () => {
  const { offload } = run(RETURN, { pageBytes: 2 ** 17, hostBytes: 2 ** 20 });
  expect(offload?.host).toMatchObject({ numSlots: 2, chunkBytes: 4 * 2 ** 17 });
});

test("nothing is offloaded without RAM, and without the prefix cache", () => {
  expect(run(RETURN, { hostBytes: null }).offload).toBeNull();
  expect(run(RETURN, { usePrefixCache: false }).offload).toBeNull();
});

test("RAM that holds no chunk is refused", () => {
  const message = "hostBytes must hold a chunk of 524288 bytes, not 524287.";
  const expected = { code: "invalid_request", message, data: { param: "hostBytes" } };
  expect(() => run(RETURN, { hostBytes: 2 ** 19 - 1 })).toThrow(expect.objectContaining(expected));
});

test("storage that holds no chunk is refused", () => {
  const message = "storageBytes must hold a chunk of 524288 bytes, not 1.";
  const expected = { code: "invalid_request", message, data: { param: "storageBytes" } };
  expect(() => run(RETURN, { storageBytes: 1 })).toThrow(expect.objectContaining(expected));
});

test("what RAM is too small for comes back from storage", () => {
  const report = run(RETURN, { hostBytes: 6 * 2 ** 19, storageBytes: 2 ** 26 });
  expect(report.offload).toMatchObject({
    hitTokens: { gpu: 0, host: 0, storage: 32 },
    storage: { numPromoted: 2, numCutForRoom: 0 },
  });
  expect(formatReport(report)).toContain(
    "storage                   11 chunks, read 2, no room to read 0, not written 0",
  );
});

test("the report for a reader", () => {
  const lines = formatReport(run(RETURN, { maxInFlightSteps: 1 })).split("\n");
  const start = lines.findIndex((line) => line.startsWith("blocks hit by tier"));
  expect(lines.slice(start, start + 9)).toEqual([
    "blocks hit by tier        GPU 0, host 2, storage 0",
    "tokens hit by tier        GPU 0, host 32, storage 0",
    "loads                     1 of 1 MiB, revoked 0, declined 0, peak 1 at once",
    "chunks stored             11 of 5.5 MiB, failed 0, cancelled 0",
    "stores refused            no slot 0, not seen enough 0, no room 0",
    "put off                   loading 0, pending 0, retry 0, timed out 0",
    "host evictions            0 in 128 slots; 0 asked for again, 0 ms later in the mean",
    "leased blocks             peak 0 of 2",
    "copying                   0.035 s of the GPU's time",
  ]);
});
