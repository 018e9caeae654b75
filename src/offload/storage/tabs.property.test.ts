import fc from "fast-check";
import { expect, test } from "vitest";
import {
  CHUNK_BYTES,
  FINGERPRINT,
  NOON_MS,
  OTHER_FINGERPRINT,
  overBothBackends,
  resetIndexedDb,
  rowKey,
  rowsOf,
} from "./block-store.fixture";
import { keyAt, NUM_PLACES, quiet, TabTier } from "./tab-tier.fixture";
import { FakeBrowser, turns } from "./tabs.fixture";

const SEED = 20261126;
const NUM_LIVES = 60;
const MIN_TIMES = 15;
const MAX_TABS = 3;

const places = fc.uniqueArray(fc.nat(NUM_PLACES - 1), { minLength: 1, maxLength: 5 });
const operation = fc.record({
  kind: fc.constantFrom("store", "store", "store", "store", "touch", "clear", "die", "open", "quiet"),
  tab: fc.nat(MAX_TABS - 1),
  places,
  isOther: fc.boolean(),
  /** Of the event loop, until the next one. */
  numTurns: fc.nat(12),
});
const life = fc.record({
  maxRecords: fc.integer({ min: 3, max: 9 }),
  delays: fc.array(fc.nat(15), { minLength: 1, maxLength: 7 }),
  operations: fc.array(operation, { minLength: 10, maxLength: 40, size: "max" }),
});
type Life = typeof life extends fc.Arbitrary<infer T> ? T : never;

interface Tab {
  readonly tier: TabTier;
  readonly fingerprint: string;
}

/** What has to happen often, or the test would prove little. */
const counts = { clears: 0, "deaths of a leader": 0, "at the cap": 0, "of two fingerprints": 0 };

async function play({ maxRecords, delays, operations }: Life): Promise<void> {
  resetIndexedDb();
  const clock = { nowMs: NOON_MS };
  const browser = new FakeBrowser();
  let numMessages = 0;
  browser.channels.delay = () => delays[numMessages++ % delays.length];
  /** In the order in which they lead. */
  const tabs: Tab[] = [];

  const open = async (isOther: boolean): Promise<void> => {
    const fingerprint = isOther ? OTHER_FINGERPRINT : FINGERPRINT;
    const tier = new TabTier(browser, clock, { fingerprint, maxBytes: maxRecords * CHUNK_BYTES });
    tabs.push({ tier, fingerprint });
    // Its place among those that wait to lead is known.
    await tier.executor.flush();
  };
  const tiers = () => tabs.map(({ tier }) => tier);

  const check = async (): Promise<void> => {
    await quiet(browser, tiers());
    const rows = Object.keys(await rowsOf("blocks"));
    expect(rows.length).toBeLessThanOrEqual(maxRecords);
    for (const { tier, fingerprint } of tabs) {
      const there = tier.found.map((place) => rowKey(keyAt(place), { fingerprint }));
      expect(there.toSorted()).toEqual(rows.filter((row) => row.includes(fingerprint)).toSorted());
      expect(tier.bytes).toBe(rows.length * CHUNK_BYTES);
    }
    counts["at the cap"] += Number(rows.length === maxRecords);
    counts["of two fingerprints"] += Number(new Set(rows.map((row) => row.split("/")[1])).size === 2);
  };

  for (const isOther of [false, false, true]) await open(isOther);
  for (const { kind, tab, places, isOther, numTurns } of operations) {
    clock.nowMs += 1;
    const index = tab % tabs.length;
    const { tier } = tabs[index];
    if (kind === "store") tier.store(...places);
    if (kind === "touch") tier.manager.touch(places.map(keyAt));
    if (kind === "clear") tier.manager.storage.clear();
    counts.clears += Number(kind === "clear");
    if (kind === "quiet") await check();
    if (kind === "open" && tabs.length < MAX_TABS) await open(isOther);
    if (kind === "die" && tabs.length > 1) {
      // What another tab than the leader did last and told nobody is found at the next open.
      if (index > 0) await quiet(browser, [tier]);
      tier.die();
      tabs.splice(index, 1);
      counts["deaths of a leader"] += Number(index === 0);
    } else tier.step();
    await turns(numTurns);
  }
  await check();
  for (const each of tiers()) each.die();
}

overBothBackends(() => {
  test("tabs that write, evict, clear and die: when all is quiet each one's index is what the store holds, under the cap", async () => {
    await fc.assert(fc.asyncProperty(life, play), { seed: SEED, numRuns: NUM_LIVES });
    for (const [event, times] of Object.entries(counts)) expect.soft(times, event).toBeGreaterThanOrEqual(MIN_TIMES);
  });
});
