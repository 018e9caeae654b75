import { expect, it } from "vitest";
import { configWithWindows, geometryWithWindows } from "../kv/geometry.fixture";
import type { EngineInit } from "../protocol/messages";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { Request } from "../scheduler/request";
import { Scheduler } from "../scheduler/scheduler";
import type { Checkpoint } from "./checkpoint";
import { resolveEngineConfig } from "./engine-config";
import { makeMemoryPlan, makeSchedulerOptions } from "./engine-sizes";

const INIT: EngineInit = { model: { kind: "files", files: [] }, maxModelLen: 512 };

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
    const checkpoint = { config: configWithWindows(windows), layout: { bytes: 0 } } as Checkpoint;
    const geometry = geometryWithWindows(windows);
    const { minBlocks, maxModelLen } = makeMemoryPlan(INIT, engineConfig, checkpoint, geometry);
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
