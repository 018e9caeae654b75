import { describe, expect, test } from "vitest";
import { makeScheduler, type TestSchedulerOptions } from "./scheduler.fixture";

const COUNTS = ["maxNumRunning", "maxNumBatchedTokens", "maxPrefillChunkTokens", "maxModelLen", "maxInFlightSteps"];
const NO_COUNTS = [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY];

describe("a count that is no positive integer is refused by its name", () => {
  test.each(COUNTS.flatMap((param) => NO_COUNTS.map((value) => ({ param, value }))))("$param $value", (row) => {
    const { param, value } = row;
    expect(() => makeScheduler({ [param]: value })).toThrow(
      expect.objectContaining({
        code: "invalid_request",
        data: { param },
        message: `${param} must be a positive integer, not ${value}`,
      }),
    );
  });
});

describe("bounds", () => {
  const refused: { options: TestSchedulerOptions; param: string; message: string }[] = [
    {
      options: { maxNumRunning: 5, maxNumBatchedTokens: 4 },
      param: "maxNumBatchedTokens",
      message: "maxNumBatchedTokens (4) must not be under maxNumRunning (5)",
    },
    {
      options: { admissionWatermark: -0.01 },
      param: "admissionWatermark",
      message: "admissionWatermark must be from 0 to 1, not -0.01",
    },
    {
      options: { admissionWatermark: 1.01 },
      param: "admissionWatermark",
      message: "admissionWatermark must be from 0 to 1, not 1.01",
    },
    {
      options: { admissionWatermark: Number.NaN },
      param: "admissionWatermark",
      message: "admissionWatermark must be from 0 to 1, not NaN",
    },
    { options: { numBlocks: 1 }, param: "numBlocks", message: "numBlocks must be an integer of at least 2, not 1" },
  ];

  test.each(refused)("refused: $message", ({ options, param, message }) => {
    expect(() => makeScheduler(options)).toThrow(
      expect.objectContaining({ code: "invalid_request", data: { param }, message }),
    );
  });

  const accepted: TestSchedulerOptions[] = [
    { maxNumRunning: 4, maxNumBatchedTokens: 4 },
    { maxPrefillChunkTokens: 1 },
    { maxPrefillChunkTokens: null },
    { maxPrefillChunkTokens: 1000 },
    { admissionWatermark: 0 },
    { admissionWatermark: 1 },
    { numBlocks: 2 },
  ];

  test.each(accepted)("accepted: %j", (options) => {
    expect(makeScheduler(options).numUsableBlocks).toBe((options.numBlocks ?? 17) - 1);
  });
});
