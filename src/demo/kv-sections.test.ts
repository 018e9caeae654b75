import { expect, test } from "vitest";
import { SAMPLE_KV_STATS } from "../testing/sample-kv-stats";
import { kvSections } from "./kv-sections";

test("the table says each number once, with its unit", () => {
  expect(kvSections(SAMPLE_KV_STATS).map(({ title, rows }) => [title, Object.fromEntries(rows)])).toEqual([
    ["GPU", { Blocks: "1,024", Free: "1,000", Cached: "300" }],
    [
      "RAM",
      {
        "Slots used": "396 of 4,096",
        Memory: "16.8 MB of 134.2 MB",
        "Slots being written": "2",
        "Slots being read": "3",
        Evictions: "31",
        "Evict to reuse": "5, mean 1.2 s",
      },
    ],
    [
      "Storage",
      {
        State: "ready",
        "Durable, this model": "2.3 MB",
        "Not yet durable": "0.1 MB",
        Used: "4.7 MB of 2.15 GB",
        "Written today": "7.1 MB",
        "Chunks promoted": "72",
        "Chunks not found": "73",
        "Chunks not written": "74",
        "Last fault": "none",
      },
    ],
    [
      "Tokens",
      { Computed: "2,048", "Found on the GPU": "160", "Loaded from RAM": "176", "Loaded from storage": "192" },
    ],
    [
      "Stores, GPU to RAM",
      {
        Done: "400",
        Moved: "13.1 MB",
        Waiting: "23",
        "In flight": "24",
        Failed: "21",
        Cancelled: "22",
        "Refused: no slot": "25",
        "Refused: unseen": "26",
        "Refused: no room": "27",
        "Leased blocks": "51 of 256",
      },
    ],
    ["Loads, RAM to GPU", { Started: "11", Moved: "1.4 MB", Failed: "12", Revoked: "13", Declined: "14" }],
    [
      "Deferrals",
      {
        "Another load under way": "41",
        "Lookup pending": "42",
        "To be asked again": "43",
        "Timed out": "44",
        "Waiting now": "45",
      },
    ],
    ["Requests", { Preemptions: "61", "GPU devices lost": "62" }],
  ]);
});

test("a gap that nobody measured is no number", () => {
  const host = { ...SAMPLE_KV_STATS.host!, numReusedAfterEviction: 0, meanEvictToReuseMs: null };
  expect(kvSections({ ...SAMPLE_KV_STATS, host })[1]!.rows).toContainEqual(["Evict to reuse", "none yet"]);
});

test("without the tiers below the GPU the table says that they are off, and nothing else of them", () => {
  const sections = kvSections({ ...SAMPLE_KV_STATS, host: null, storage: null });
  expect(sections.map(({ title, rows }) => [title, rows.map(([label]) => label)])).toEqual([
    ["GPU", ["Blocks", "Free", "Cached"]],
    ["RAM", ["Copies of KV"]],
    ["Storage", ["Copies of KV"]],
    ["Tokens", ["Computed", "Found on the GPU"]],
    ["Requests", ["Preemptions", "GPU devices lost"]],
  ]);
  expect(sections[1]!.rows).toEqual([["Copies of KV", "off"]]);
});

test("what went wrong with the storage is said in words", () => {
  const lastFault = { code: "quota", message: "The browser gives no more room.", time: 0 };
  const storage = { ...SAMPLE_KV_STATS.storage!, state: "readOnly", lastFault } as const;
  const rows = kvSections({ ...SAMPLE_KV_STATS, storage })[2]!.rows;
  expect(rows).toContainEqual(["State", "full: read only"]);
  expect(rows).toContainEqual(["Last fault", "quota: The browser gives no more room."]);
});
