import { expect, test } from "vitest";
import { Tabs } from "./tabs";
import { FakeBrowser, turns } from "./tabs.fixture";

const never = () => expect.fail("nothing is told here");

/** A tab, and what happened to it. */
function makeTab({ tabsOptions }: FakeBrowser = new FakeBrowser()) {
  const tabs = new Tabs(tabsOptions);
  const log: unknown[] = [];
  const events = { onHeard: (message: unknown) => log.push(message), onLead: () => log.push("leads") };
  return { tabs, log, join: (name = "app") => tabs.join(name, events) };
}

test("one of a namespace leads; when it is gone, the one that has waited for longest; one that left waits no more", async () => {
  const browser = new FakeBrowser();
  const [first, second, third, fourth] = Array.from({ length: 4 }, () => makeTab(browser));
  const other = makeTab(browser);
  for (const { join } of [first, second, third, fourth]) await join();
  await other.join("other");
  const leaders = () => [first, second, third, fourth, other].map(({ tabs }) => tabs.isLeader);
  expect(leaders()).toEqual([true, false, false, false, true]);
  expect([first.log, second.log]).toEqual([[], []]);
  second.tabs.close();
  first.tabs.close();
  await turns(2);
  expect(leaders().slice(2)).toEqual([true, false, true]);
  expect([third.log, fourth.log, other.log]).toEqual([["leads"], [], []]);
  third.tabs.close();
  await turns(2);
  expect(fourth.tabs.isLeader).toBe(true);
});

test("what a tab tells all others of its namespace hear, itself not; nothing is told of nothing; a closed one neither hears nor tells", async () => {
  const browser = new FakeBrowser();
  const [first, second, third, other] = Array.from({ length: 4 }, () => makeTab(browser));
  for (const { join } of [first, second, third]) await join();
  await other.join("other");
  first.tabs.tell(["a", "b"]);
  first.tabs.tell([]);
  third.tabs.tell(null);
  await browser.channels.idle();
  expect([first.log, second.log, third.log, other.log]).toEqual([[null], [["a", "b"], null], [["a", "b"]], []]);
  second.tabs.close();
  second.tabs.tell(["c"]);
  first.tabs.tell(["d"]);
  await browser.channels.idle();
  expect([second.log.length, third.log]).toEqual([2, [["a", "b"], ["d"]]]);
});

test("joining again changes nothing", async () => {
  const browser = new FakeBrowser();
  const [first, second] = [makeTab(browser), makeTab(browser)];
  await first.join();
  await first.join();
  await second.join();
  expect([first.tabs.isLeader, second.tabs.isLeader]).toEqual([true, false]);
});

test("where there are no locks, or they may not be asked for, every tab leads", async () => {
  const refused = { request: () => Promise.reject(new DOMException("injected", "SecurityError")) };
  for (const locks of [null, refused]) {
    const tabs = [new Tabs({ locks, openChannel: null }), new Tabs({ locks, openChannel: null })];
    for (const each of tabs) await each.join("app", { onHeard: never, onLead: never });
    expect(tabs.map(({ isLeader }) => isLeader)).toEqual([true, true]);
    tabs[0].tell(["a"]);
  }
});

test("the channel is the browser's own, unless another is given", async () => {
  const [mine, theirs] = [new Tabs({ locks: null }), new Tabs({ locks: null })];
  await mine.join("own channel", { onHeard: never, onLead: never });
  const heard = new Promise((onHeard) => void theirs.join("own channel", { onHeard, onLead: never }));
  mine.tell(["a"]);
  expect(await heard).toEqual(["a"]);
  mine.close();
  theirs.close();
});
