import { expect, test } from "vitest";
import type { CachedModel } from "../index";
import { planRows } from "./plan-rows";
import { SAMPLE_PLAN } from "./sample-plan.fixture";

const COPY: CachedModel = {
  key: "owner/name@1",
  model: "owner/name",
  revision: "1",
  bytes: 100_000_000,
  totalBytes: 271_000_000,
  isComplete: false,
  lastUsedMs: 0,
};

function download(downloadBytes: number, copy: CachedModel | null) {
  return planRows({ ...SAMPLE_PLAN, downloadBytes }, copy)[0].value;
}

test("the download is what this browser lacks", () => {
  expect(download(271_000_000, null)).toBe("271.0 MB");
  expect(download(271_000_000, COPY)).toBe("171.0 MB more of 271.0 MB");
  expect(download(271_000_000, { ...COPY, isComplete: true })).toBe("none: it is in this browser");
});

test("the parts of the GPU's memory add up to it", () => {
  const rows = planRows(SAMPLE_PLAN, null);
  const megabytes = (value: string) => Number(value.replace(" MB", ""));
  const parts = rows.filter(({ isPart }) => isPart).map(({ value }) => megabytes(value));
  const total = rows.find(({ label }) => label === "GPU memory");
  expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(megabytes(total!.value));
});
