import { beforeEach, expect, test } from "vitest";
import { CHUNK_BYTES, NOON_MS, overBothBackends, resetIndexedDb, rowKey, rowsOf } from "./block-store.fixture";
import { keyAt, quiet, TabTier } from "./tab-tier.fixture";
import { FakeBrowser, turns } from "./tabs.fixture";

overBothBackends(() => {
  beforeEach(resetIndexedDb);

  const clock = { nowMs: NOON_MS };
  const placesInStore = async () => {
    const rows = Object.keys(await rowsOf("blocks"));
    return Array.from({ length: 12 }, (_, place) => place).filter((place) => rows.includes(rowKey(keyAt(place))));
  };

  async function openTwo() {
    const browser = new FakeBrowser();
    const [mine, theirs] = [new TabTier(browser, clock), new TabTier(browser, clock)];
    await quiet(browser, [mine, theirs]);
    return { browser, mine, theirs };
  }

  test("what one tab stores another finds, without opening anything anew", async () => {
    const { browser, mine, theirs } = await openTwo();
    mine.store(0, 1, 2);
    await quiet(browser, [mine, theirs]);
    expect([theirs.found, theirs.bytes]).toEqual([[0, 1, 2], 3 * CHUNK_BYTES]);
    theirs.die();
    mine.die();
  });

  // Before the other's write is handed on, while it is under way, and when it has ended.
  test.each([0, 1, 2, 3, 5, 8, 13, 30])(
    "a clear %i turns after another tab's write began: nothing of before it stays or lands",
    async (numTurns) => {
      const { browser, mine, theirs } = await openTwo();
      theirs.store(0, 1);
      theirs.step();
      theirs.store(2);
      await turns(numTurns);
      mine.manager.storage.clear();
      mine.step();
      // Planned before they can know of it: by then it may be done, but it was not heard of.
      theirs.store(3);
      theirs.step();
      theirs.store(4);
      await quiet(browser, [mine, theirs]);
      expect([await placesInStore(), mine.found, theirs.found]).toEqual([[], [], []]);
      theirs.store(2, 5);
      await quiet(browser, [mine, theirs]);
      expect([await placesInStore(), mine.found, theirs.found]).toEqual([
        [2, 5],
        [2, 5],
        [2, 5],
      ]);
      theirs.die();
      mine.die();
    },
  );
});
