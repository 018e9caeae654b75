import { beforeEach, describe, expect, test } from "vitest";
import type { BlockStore } from "./block-store";
import {
  CHUNK_BYTES,
  checkIntegrity,
  chunks,
  DAY_MS,
  makeStore,
  NOON_MS,
  namespaceHash,
  OTHER_FINGERPRINT,
  openIndex,
  overBothBackends,
  readable,
  resetIndexedDb,
  rowKey,
  rowsOf,
  TTL_MS,
} from "./block-store.fixture";
import type { StorageOptions } from "./storage-api";
import { FakeBrowser, turns } from "./tabs.fixture";

let browser = new FakeBrowser();
let clock = { nowMs: NOON_MS };
overBothBackends(() => {
  beforeEach(() => {
    resetIndexedDb();
    browser = new FakeBrowser();
    clock = { nowMs: NOON_MS };
  });

  /** A store in a tab of its own, open. */
  async function openTab(options: Partial<StorageOptions> = {}): Promise<BlockStore> {
    const store = makeStore(clock, browser.tabsOptions);
    await openIndex(store, options);
    return store;
  }

  /** Until each has taken in what the others told, and what it does itself about that. */
  async function quiet(...stores: BlockStore[]): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await browser.channels.idle();
      for (const store of stores) await store.flush();
    }
  }

  const numRecords = async () => Object.keys(await rowsOf("blocks")).length;
  const keys = (count: number, name = "0") => Array.from({ length: count }, (_, i) => `${name}/${i}`);

  describe("a tab hears", () => {
    test("what another writes, evicts and deletes, with the bytes of all", async () => {
      const [mine, theirs] = [
        await openTab({ maxBytes: 3 * CHUNK_BYTES }),
        await openTab({ maxBytes: 3 * CHUNK_BYTES }),
      ];
      await mine.write(0, chunks("0/a", "0/b"));
      const usage = { bytes: 2 * CHUNK_BYTES, maxBytes: 3 * CHUNK_BYTES, bytesWrittenToday: 2 * CHUNK_BYTES };
      expect(await theirs.hear()).toEqual([{ kind: "changed", added: ["0/b", "0/a"], deleted: [], usage }]);
      clock.nowMs += 1;
      await mine.write(0, chunks("0/c", "0/d"));
      expect(await theirs.hear()).toMatchObject([{ added: ["0/d", "0/c"], deleted: ["0/b"] }]);
      await mine.delete(["0/a", "0/unknown"]);
      expect(await theirs.hear()).toMatchObject([{ added: [], deleted: ["0/a"], usage: { bytes: 2 * CHUNK_BYTES } }]);
      await quiet(mine, theirs);
      await checkIntegrity(theirs);
    });

    test("of another fingerprint only that the bytes are others", async () => {
      const [mine, theirs] = [await openTab(), await openTab({ fingerprint: OTHER_FINGERPRINT })];
      await mine.write(0, chunks("0/a"));
      const [change] = await theirs.hear();
      expect(change).toMatchObject({ kind: "changed", added: [], deleted: [], usage: { bytes: CHUNK_BYTES } });
    });

    test("nothing of another namespace, and not itself", async () => {
      const [mine, theirs] = [await openTab(), await openTab({ namespace: "other" })];
      await mine.write(0, chunks("0/a"));
      await quiet(mine, theirs);
      for (const store of [mine, theirs]) await store.write(0, chunks("0/b"));
      expect((await theirs.write(0, [])).usage.bytes).toBe(CHUNK_BYTES);
      expect(await Promise.race([mine.hear(), theirs.hear(), turns(5)])).toBeUndefined();
    });

    test("a clear, as an index of the next epoch, and so what came before it is told no more", async () => {
      const [mine, theirs] = [await openTab(), await openTab()];
      browser.channels.delay = () => 20;
      const writes = theirs.write(0, chunks("0/a"));
      await mine.clear();
      await writes;
      await theirs.write(0, chunks("0/b"));
      await mine.write(1, chunks("0/c"));
      await quiet(mine, theirs);
      expect(Object.keys(await rowsOf("blocks"))).toEqual([rowKey("0/c")]);
      for (const store of [mine, theirs]) {
        expect(await openIndex(store)).toMatchObject({ keys: ["0/c"], clearEpoch: 1, usage: { bytes: CHUNK_BYTES } });
      }
    });

    test("a use, so that what others use is not evicted", async () => {
      const [leader, other] = [
        await openTab({ maxBytes: 3 * CHUNK_BYTES }),
        await openTab({ maxBytes: 3 * CHUNK_BYTES }),
      ];
      await leader.write(0, chunks("0/a", "0/b", "0/c"));
      await quiet(leader, other);
      clock.nowMs += 1;
      await other.touch(["0/c"]);
      await quiet(other, leader);
      expect((await leader.write(0, chunks("0/d"))).evicted).toEqual(["0/b"]);
    });

    test("of what anybody may send only keys of its namespace, and looks for itself", async () => {
      const store = await openTab();
      await store.write(0, chunks("0/a"));
      expect(browser.channels.sent).toEqual([[rowKey("0/a")]]);
      const channel = browser.channels.open(`cairn-kv/${namespaceHash("app")}/`);
      for (const junk of ["0/a", 3, {}, [1, {}, "elsewhere"], [rowKey("0/a"), rowKey("0/z")]]) {
        channel.postMessage(junk);
      }
      await quiet(store);
      expect(await readable(store, "0/a", "0/z")).toEqual(["0/a"]);
      await checkIntegrity(store);
      expect(await Promise.race([store.hear(), turns(5)])).toBeUndefined();
    });
  });

  describe("the cap", () => {
    test("a tab that does not lead passes it by an eighth, and the leader makes room", async () => {
      const options = { maxBytes: 16 * CHUNK_BYTES };
      const [leader, other] = [await openTab(options), await openTab(options)];
      await leader.write(0, chunks(...keys(16)));
      await quiet(leader, other);
      browser.channels.delay = () => 100;
      clock.nowMs += 1;
      expect((await other.write(0, chunks("1/a", "1/b"))).evicted).toEqual([]);
      expect(await numRecords()).toBe(18);
      expect((await other.write(0, chunks("1/c"))).evicted).toEqual(["0/15"]);
      await quiet(leader, other);
      expect(await numRecords()).toBe(16);
      expect(await readable(other, "0/13", "0/14", "1/a", "1/b", "1/c")).toEqual(["1/a", "1/b", "1/c"]);
      for (const store of [leader, other]) await checkIntegrity(store);
    });

    test("and the time of records are the leader's: a tab that opens later deletes nothing, until it leads itself", async () => {
      const leader = await openTab();
      await leader.write(0, chunks("0/a", "0/b", "0/c", "0/d"));
      clock.nowMs += TTL_MS + DAY_MS;
      await leader.write(0, chunks("0/e", "0/f"));
      const later = makeStore(clock, browser.tabsOptions);
      const index = await openIndex(later, { maxBytes: CHUNK_BYTES });
      expect(index.keys).toEqual(["0/e", "0/f"]);
      await quiet(leader, later);
      expect(await numRecords()).toBe(6);
      leader.close();
      await quiet(later);
      expect(Object.keys(await rowsOf("blocks"))).toEqual([rowKey("0/e")]);
      expect(await later.hear()).toMatchObject([{ kind: "changed", deleted: ["0/f"] }, { kind: "opened" }]);
      await checkIntegrity(later);
    });
  });

  test("what a tab did without a word before it died, the next leader finds, and the others with it", async () => {
    const [leader, second, third] = [await openTab(), await openTab(), await openTab()];
    const write = leader.write(0, chunks("0/a"));
    await turns(1);
    leader.close();
    await write;
    expect(await numRecords()).toBe(1);
    await quiet(second, third);
    expect(browser.channels.sent).toEqual([null]);
    for (const store of [second, third]) {
      expect(await store.hear()).toMatchObject([{ kind: "opened", index: { keys: ["0/a"] } }]);
    }
  });
});
