import { describe, expect, test } from "vitest";
import { DEFAULT_OPTIONS, describeOptions, parseOptions } from "./options";

describe("parseOptions", () => {
  test("without arguments gives the defaults", () => {
    expect(parseOptions([])).toEqual(DEFAULT_OPTIONS);
    expect(DEFAULT_OPTIONS).toMatchObject({ blockSize: 16, maxPrefillChunkTokens: null, usePrefixCache: true });
    expect(DEFAULT_OPTIONS).toMatchObject({
      hostBytes: null,
      offloadPolicy: "storeOnCompute",
      loadAdmission: "reserved",
    });
  });

  test.each([
    ["blockSize=512", { blockSize: 512 }],
    ["numBlocks=unlimited", { numBlocks: null }],
    ["numBlocks=20000", { numBlocks: 20_000 }],
    ["numRequests=all", { numRequests: null }],
    ["maxPrefillChunkTokens=64", { maxPrefillChunkTokens: 64 }],
    ["usePrefixCache=false", { usePrefixCache: false }],
    ["admissionWatermark=1", { admissionWatermark: 1 }],
    ["timeScale=0", { timeScale: 0 }],
    ["hostBytes=none", { hostBytes: null }],
    ["hostBytes=1073741824", { hostBytes: 2 ** 30 }],
    ["offloadPolicy=storeOnEvict", { offloadPolicy: "storeOnEvict" }],
    ["hostEvictionPolicy=arc", { hostEvictionPolicy: "arc" }],
    ["loadAdmission=unbounded", { loadAdmission: "unbounded" }],
    ["mapMs=0", { mapMs: 0 }],
    ["contextTokenMs=2.5e-4", { contextTokenMs: 0.00025 }],
  ])("%s", (arg, expected) => {
    expect(parseOptions([arg])).toEqual({ ...DEFAULT_OPTIONS, ...expected });
  });

  test.each([
    ["blockSize=0", 'blockSize must be a positive integer, not "0".'],
    ["blockSize", 'blockSize must be a positive integer, not "".'],
    ["numBlocks=1e4", 'numBlocks must be a positive integer, or unlimited, not "1e4".'],
    ["stepMs=-1", 'stepMs must be a number of at least 0, not "-1".'],
    ["stepMs=1e999", 'stepMs must be a number of at least 0, not "1e999".'],
    ["admissionWatermark=1.5", 'admissionWatermark must be from 0 to 1, not "1.5".'],
    ["hostBytes=1GiB", 'hostBytes must be a positive integer, or none, not "1GiB".'],
    ["storeThreshold=0", 'storeThreshold must be a positive integer, not "0".'],
    ["hostEvictionPolicy=LRU", 'hostEvictionPolicy must be one of lru, arc, not "LRU".'],
    ["loadAdmission=", 'loadAdmission must be one of reserved, counted, unbounded, not "".'],
    [
      "offloadPolicy=never",
      'offloadPolicy must be one of storeOnCompute, storeOnEvict, storeOnPreempt, storeOnFinish, not "never".',
    ],
    ["usePrefixCache=toString", 'usePrefixCache must be true or false, not "toString".'],
  ])("%s is refused", (arg, message) => {
    const data = { param: arg.split("=")[0] };
    expect(() => parseOptions([arg])).toThrow(expect.objectContaining({ code: "invalid_request", message, data }));
  });

  test.each(["speed=2", "constructor=1", "--jsn"])("%s is unknown, and the options are listed", (arg) => {
    const [param] = arg.split("=");
    const message = expect.stringMatching(
      new RegExp(`^There is no option ${param}\\. Options: blockSize, .*numRequests\\.$`),
    );
    expect(() => parseOptions([arg])).toThrow(
      expect.objectContaining({ code: "unsupported_parameter", message, data: { param } }),
    );
  });
});

test("every option is described with its default", () => {
  const lines = describeOptions().split("\n");
  expect(lines.length).toBe(Object.keys(DEFAULT_OPTIONS).length);
  expect(lines[0]).toBe("  blockSize=16                    tokens in a block");
  expect(lines[1]).toBe("  numBlocks=8192                  blocks of the pool, the null block included, or unlimited");
  const policy = lines.find((line) => line.startsWith("  hostEvictionPolicy="));
  expect(policy).toBe("  hostEvictionPolicy=lru          which copies go first when the RAM is full: lru, arc");
  expect(lines[5]).toBe("  maxPrefillChunkTokens=none      most prompt tokens of one request in a step");
});
