import { describe, expect, it } from "vitest";
import { DEFAULT_ENGINE_CONFIG, resolveEngineConfig } from "./engine-config";

describe("resolveEngineConfig", () => {
  it("gives the frozen defaults without overrides", () => {
    const config = resolveEngineConfig();
    expect(config).toEqual(DEFAULT_ENGINE_CONFIG);
    expect(Object.isFrozen(config)).toBe(true);
  });

  it("lays overrides over the defaults; undefined counts as absent", () => {
    const config = resolveEngineConfig({ maxNumRunning: 2, useF16: false, kvCacheBytes: null, profile: undefined });
    expect(config).toEqual({ ...DEFAULT_ENGINE_CONFIG, maxNumRunning: 2, useF16: false });
  });

  it.each([["maxRunning"], ["toString"], [""]])("refuses the unknown name %j", (name) => {
    expect(() => resolveEngineConfig({ [name]: 1 })).toThrow(
      expect.objectContaining({ code: "unsupported_parameter", data: { param: `engine.${name}` } }),
    );
  });

  it.each([
    ["maxNumRunning", 0],
    ["maxNumBatchedTokens", 1.5],
    ["maxPrefillChunkTokens", "7"],
    ["maxInFlightSteps", 0],
    ["maxInFlightSteps", 5],
    ["usePrefixCache", "yes"],
    ["admissionWatermark", -0.1],
    ["admissionWatermark", 1.1],
    ["admissionWatermark", Number.NaN],
    ["kvCacheBytes", -1],
    ["submitTargetMs", Number.NaN],
    ["useF16", 1],
    ["useGemvUpToTokens", 9],
    ["maxPieceBytes", null],
    ["offloadEncoding", "int4"],
  ])("refuses %s = %j", (name, value) => {
    expect(() => resolveEngineConfig({ [name]: value })).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param: `engine.${name}`, value } }),
    );
  });

  it.each([
    ["useGemvUpToTokens", 0],
    ["maxInFlightSteps", 4],
    ["admissionWatermark", 0],
    ["admissionWatermark", 1],
  ])("takes %s = %j, at the end of its range", (name, value) => {
    expect(resolveEngineConfig({ [name]: value })).toEqual({ ...DEFAULT_ENGINE_CONFIG, [name]: value });
  });
});
