import { expect, test } from "vitest";
import { CairnError } from "../index";
import { SAMPLE_PLAN } from "./sample-plan.fixture";
import { refusalOf, verdictOf } from "./verdict";

test("a context that the model or the default limits is no lack of memory", () => {
  expect(verdictOf(SAMPLE_PLAN, null).fit).toBe("fits");
  const long = { ...SAMPLE_PLAN, longestModelLen: 20_000, maxPositionEmbeddings: 131_072 };
  expect(verdictOf(long, null).fit).toBe("fits");
});

test("a context that memory limits is told beside the model's own", () => {
  const short = { ...SAMPLE_PLAN, maxModelLen: 3072, longestModelLen: 3072 };
  expect(verdictOf(short, "q8_0")).toEqual({
    fit: "shorter",
    headline: "It fits, with a shorter context",
    advice: "This device has memory for 3,072 tokens of the model's 8,192. Fewer bits for each weight leave more room.",
  });
  expect(verdictOf(short, "q4_0").advice).not.toContain("Fewer bits");
});

test("a refusal tells its numbers and the next thing to try", () => {
  const error = new CairnError("out_of_memory", "too large", { neededBytes: 3.1e9, availableBytes: 2e9 });
  expect(refusalOf(error, null)).toEqual({
    fit: "too-large",
    headline: "It does not fit",
    advice:
      "It needs 3.10 GB of GPU memory, and this device allows 2.00 GB. Fewer bits for each weight leave more room.",
  });
  expect(refusalOf(error, "q4_0")?.advice).toContain("A smaller model is the way.");
  const limit = new CairnError("device_limit", "A buffer of 5 GB is over the limit.", { limit: "maxBufferSize" });
  expect(refusalOf(limit, "q4_0")?.advice).toBe("A buffer of 5 GB is over the limit. A smaller model is the way.");
  expect(refusalOf(new CairnError("network", "offline"), null)).toBeNull();
});
