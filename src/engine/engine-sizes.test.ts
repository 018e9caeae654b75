import { expect, it } from "vitest";
import { configWithWindows, geometryWithWindows } from "../kv/geometry.fixture";
import { type PrefixExtraKeys, PrefixHashes } from "../kv/prefix-hashes";
import { weightPlan } from "../models/registry";
import type { WeightLayout } from "../models/weight-layout";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { Request } from "../scheduler/request";
import { Scheduler } from "../scheduler/scheduler";
import { resolveEngineConfig } from "./engine-config";
import { makeSchedulerOptions } from "./engine-sizes";
import { divideEngineMemory } from "./plan-memory";

const INIT = { maxModelLen: 512 };
const NO_WEIGHTS: WeightLayout = {
  linears: new Map(),
  tensors: new Set(),
  numParameters: 0,
  bytes: 0,
  quantization: null,
};

/** Fills the context. */
const longest = () =>
  new Request({
    requestId: "longest",
    promptTokenIds: new Array(511).fill(7),
    sampling: NEUTRAL_SAMPLING,
    maxTokens: 1,
    eosTokenIds: [],
  });

it.each([
  [[null], {}],
  [[null, 64, 64], { maxNumBatchedTokens: 64 }],
  [[null, 64, 64], { maxNumBatchedTokens: 64, maxInFlightSteps: 1 }],
  [[64, 64], { maxPrefillChunkTokens: 16, maxInFlightSteps: 4 }],
])(
  "with windows %j and %j the least pool of the plan is what the scheduler asks for one whole context",
  (windows, overrides) => {
    const engineConfig = resolveEngineConfig(overrides);
    const config = configWithWindows(windows);
    const outline = { config, plan: weightPlan(config), layout: NO_WEIGHTS };
    const geometry = geometryWithWindows(windows);
    const { minBlocks, maxModelLen } = divideEngineMemory(INIT, engineConfig, outline, geometry, {
      maxBindingBytes: 2 ** 27,
    });
    const schedulerWith = (numBlocks: number) =>
      new Scheduler(makeSchedulerOptions(engineConfig, geometry, numBlocks, maxModelLen));
    const scheduler = schedulerWith(minBlocks);
    scheduler.addRequest(longest());
    expect(scheduler.numWaiting).toBe(1);
    expect(() => schedulerWith(minBlocks - 1).addRequest(longest())).toThrow(
      expect.objectContaining({ code: "cache_too_small" }),
    );
  },
);

it("a lossy encoding below the GPU is in the hashes of blocks, and an exact one is not", () => {
  const geometry = geometryWithWindows([null]);
  const hashWith = (offloadEncoding: "exact" | "int8") => {
    const options = makeSchedulerOptions(resolveEngineConfig({ offloadEncoding }), geometry, 100, 512);
    const request = longest();
    new Scheduler(options).addRequest(request);
    return request.prefixHashes?.at(0);
  };
  const keys = { cacheSalt: null };
  const hashOf = (extraKeys: PrefixExtraKeys) => {
    const tokenIds = (start: number, end: number) => longest().tokenIds(start, end);
    return new PrefixHashes(geometry.blockSize, extraKeys, tokenIds).at(0);
  };
  expect(hashWith("exact")).toBe(hashOf(keys));
  expect(hashWith("int8")).toBe(hashOf({ ...keys, lossyEncoding: "int8" }));
});
