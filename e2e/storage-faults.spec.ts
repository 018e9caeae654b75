import type { CDPSession } from "@playwright/test";
import { SUFFIXES } from "../src/testing/offload-cases";
import {
  afterFault,
  IN_STORAGE,
  MODEL_MOUNT,
  NOWHERE,
  NUM_CHUNKS,
  NUM_STORED,
  OTHER_PROMPT,
  POLLING,
  PROMPT,
  StorageSession,
} from "./storage-session";
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

/** For what does not answer. The browser is given time to open its database. */
const DEADLINES = { callDeadlineMs: 1000, openDeadlineMs: 20_000 };
test("whatever happens to storage, requests are answered with the ids of computing them, and stats() says what it was", async ({
  page,
  context,
}) => {
  test.setTimeout(400_000);
  await withTestPage("storage.html", MODEL_MOUNT, async (url) => {
    const session = await StorageSession.open(page, url);
    await session.compute(PROMPT, OTHER_PROMPT);
    await standsNoRoom(session, await context.newCDPSession(page));
    // As src/engine/storage.gpu.test.ts does in every run.
    if (process.env.CAIRN_SOAK) await findsPrefixes(session);
    await standsDamage(session);
    await standsLostDatabase(session, await context.newCDPSession(page));
    await standsSilence(session);
    await standsLostWorker(session);
    await session.rest();
  });
});

test("a page that may not use WebAssembly finds what it stored", async ({ page }) => {
  const headers = { "Content-Security-Policy": "default-src 'self'; img-src data:" };
  const run = async (url: string) => {
    await page.goto(url);
    const compile = () => WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)).catch(({ name }) => name);
    expect(await page.evaluate(compile)).toBe("CompileError");
    const written = page.waitForEvent("console", (message) => message.text().startsWith("write end"));
    await page.evaluate(() => void window.storagePage.writeChunks(0, "auto"));
    await written;
    await page.reload();
    const { problems, wholeIds } = await page.evaluate(() => window.storagePage.checkChunks("auto"));
    expect(problems).toEqual([]);
    expect(wholeIds.length).toBeGreaterThan(0);
    const rows = await page.evaluate(() => window.storagePage.rows.listRows("derived"));
    expect(new Set(rows.map(({ checksumKind }) => checksumKind))).toEqual(new Set(["crc32"]));
  };
  await withTestPage("storage.html", MODEL_MOUNT, run, headers);
});

async function findsPrefixes(session: StorageSession): Promise<void> {
  const { page } = session;
  await test.step("6 requests at once with a stored prefix cause one promotion and one load", async () => {
    await session.seed("prefix");
    await session.start({ namespace: "prefix" });
    const prompts = SUFFIXES.map((suffix) => [...PROMPT.slice(0, NUM_STORED), ...suffix]);
    const { alone, together, stats } = await page.evaluate(
      (prompts) => window.storage.askTogether(prompts, 2),
      prompts,
    );
    expect(together.map(({ tokenIds }) => tokenIds)).toEqual(alone);
    const onGpu = { ...NOWHERE, gpu: NUM_STORED };
    expect(together.map(({ found }) => found)).toEqual([IN_STORAGE, ...new Array(5).fill(onGpu)]);
    expect(stats.loads.numStarted).toBe(1);
    expect(stats.storage).toMatchObject({ numPromoted: NUM_CHUNKS, numFailed: 0 });
  });

  await test.step("a prefix that RAM cannot hold is loaded as far as it fits", async () => {
    const long = Array.from({ length: 170 }, (_, i) => PROMPT[i % PROMPT.length]);
    await session.compute(long);
    await session.start({ namespace: "long" });
    expect(await session.ask(long)).toEqual(NOWHERE);
    await session.flush();
    // Promotions may hold half of them: six chunks, of three groups, two of which need no more than their windows.
    await session.start({ namespace: "long", numHostSlots: 12 });
    const loaded = (await session.ask(long))?.storage ?? 0;
    expect(loaded).toBeGreaterThan(0);
    expect(loaded).toBeLessThan(160);
    await session.rest();
  });
}

async function standsDamage(session: StorageSession): Promise<void> {
  const namespace = "damage";
  const { page } = session;
  const rows = async () => {
    const all = await page.evaluate((namespace) => window.storagePage.rows.listRows(namespace), namespace);
    expect(all.map(({ group, place }) => [group, place])).toEqual(
      [0, 1, 2].flatMap((group) => [
        [group, 0],
        [group, 1],
      ]),
    );
    return all.map(({ key }) => key);
  };
  /** Asks an engine that has just started; it must find as much, and write what it could not read anew. */
  const asks = async (numTokens: number, numFailed: number) => {
    await session.start({ namespace });
    expect(await session.ask(PROMPT)).toEqual({ ...NOWHERE, storage: numTokens });
    const expected =
      numFailed === 0 ? { state: "ready", lastFault: null } : afterFault("ready", "corrupt", { numFailed });
    expect(await session.storage()).toMatchObject(expected);
    await session.flush();
  };
  await session.seed(namespace);

  await test.step("a flipped byte: what is before the chunk is found", async () => {
    const [, second] = await rows();
    await page.evaluate((key) => window.storagePage.stores.damageRow(key, "flip"), second);
    await asks(32, 1);
  });

  await test.step("a truncated record", async () => {
    const key = (await rows())[2];
    await page.evaluate((key) => window.storagePage.stores.damageRow(key, "truncate"), key);
    await asks(0, 1);
  });

  await test.step("two records that are swapped", async () => {
    const [first, second] = (await rows()).slice(4);
    await page.evaluate(([one, other]) => window.storagePage.rows.swapRows(one, other), [first, second] as const);
    await asks(0, 2);
  });

  await test.step("what was damaged has been written anew", () => asks(NUM_STORED, 0));
}

async function standsLostDatabase(session: StorageSession, cdp: CDPSession): Promise<void> {
  const namespace = "lost";
  const { page } = session;
  /** The database is there again, and written to. */
  const goesOn = async () => {
    await session.flush();
    await session.start({ namespace });
    expect(await session.ask(PROMPT)).toEqual(IN_STORAGE);
  };

  await test.step("the database is deleted while it is open", async () => {
    await session.seed(namespace);
    await page.evaluate(() => window.storagePage.rows.deleteDatabase());
    await session.forget();
    expect(await session.ask(PROMPT)).toEqual(NOWHERE);
    expect(await session.storage()).toMatchObject({ state: "ready", numFailed: NUM_CHUNKS });
    await goesOn();
  });

  await test.step("the browser closes the connection in the midst of a read, and deletes all", async () => {
    await session.forget();
    await page.evaluate(() => window.storagePage.hold("transactions"));
    const answer = session.ask(PROMPT);
    await expect.poll(async () => (await session.stats()).deferrals.numWaiting, POLLING).toBe(1);
    await cdp.send("Storage.clearDataForOrigin", { origin: new URL(page.url()).origin, storageTypes: "indexeddb" });
    await page.evaluate(() => window.storagePage.untilClosed());
    expect(await answer).toEqual(NOWHERE);
    expect(await session.storage()).toMatchObject(afterFault("ready", "closed", { numFailed: NUM_CHUNKS }));
    await goesOn();
  });

  await test.step("another tab brings a newer version of the database", async () => {
    await page.evaluate(() => window.storagePage.rows.openNewer());
    expect(await session.ask(OTHER_PROMPT)).toEqual(NOWHERE);
    await session.reaches(afterFault("off", "closed"));
    await session.start({ namespace });
    expect(await session.ask(PROMPT)).toEqual(NOWHERE);
    expect(await session.storage()).toMatchObject(afterFault("off", "closed"));
    expect(await session.ask(PROMPT)).toEqual({ ...NOWHERE, gpu: NUM_STORED });
    await page.evaluate(() => window.storagePage.rows.deleteDatabase());
  });
}

async function standsSilence(session: StorageSession): Promise<void> {
  const namespace = "silence";
  const { page } = session;
  const release = () => page.evaluate(() => window.storagePage.release());
  await session.seed(namespace);

  await test.step("an open that never answers", async () => {
    await session.page.evaluate(() => window.storage.end());
    await page.evaluate(() => window.storagePage.hold("opens"));
    await session.start({ namespace, deadlines: { openDeadlineMs: 1000 } });
    const answers = await Promise.all([session.ask(PROMPT), session.ask(OTHER_PROMPT)]);
    expect(answers).toEqual([NOWHERE, NOWHERE]);
    const { storage, deferrals } = await session.stats();
    expect(storage).toMatchObject(afterFault("off", "timeout"));
    expect(deferrals).toMatchObject({ numWaiting: 0, numTimedOut: 0 });
    expect(deferrals.retry).toBeGreaterThan(0);
    await release();
  });

  await test.step("a read that never answers, with requests that wait for it", async () => {
    await session.startReady({ namespace, deadlines: DEADLINES });
    await page.evaluate(() => window.storagePage.hold("transactions"));
    const answers = await Promise.all([session.ask(PROMPT), session.ask(PROMPT), session.ask(PROMPT)]);
    for (const found of answers) expect(found).toMatchObject({ host: 0, storage: 0 });
    const { storage, deferrals } = await session.stats();
    expect(storage).toMatchObject(afterFault("starting", "timeout", { numFailed: NUM_CHUNKS }));
    expect(deferrals).toMatchObject({ numWaiting: 0, numTimedOut: 0 });
    expect(deferrals.pending).toBeGreaterThan(0);
    await release();
    await session.reaches({ state: "ready" });
    await session.forget();
    expect(await session.ask(PROMPT)).toEqual(IN_STORAGE);
  });

  await test.step("a write that never answers", async () => {
    await session.startReady({ namespace, deadlines: DEADLINES });
    await page.evaluate(() => window.storagePage.hold("transactions"));
    expect(await session.ask(OTHER_PROMPT)).toEqual(NOWHERE);
    await session.reaches(afterFault("starting", "timeout"));
    expect((await session.storage())?.numDropped).toBeGreaterThan(0);
    await release();
    await session.reaches({ state: "ready", notYetDurableBytes: 0 });
    await session.forget();
    expect(await session.ask(PROMPT)).toEqual(IN_STORAGE);
  });
}

async function standsLostWorker(session: StorageSession): Promise<void> {
  const namespace = "silence";
  const { page } = session;
  const kill = (how: "terminated" | "closes itself" | "throws") =>
    how === "terminated"
      ? page.evaluate(() => window.storagePage.stores.terminateStore())
      : page.evaluate((death) => window.storagePage.killStore(death), how);

  for (const how of ["terminated", "closes itself"] as const) {
    await test.step(`the storage worker: ${how}`, async () => {
      await session.startReady({ namespace, deadlines: DEADLINES });
      await kill(how);
      expect(await session.ask(PROMPT)).toEqual(NOWHERE);
      await session.reaches(afterFault("ready", "timeout", { numFailed: NUM_CHUNKS }));
      await session.forget();
      expect(await session.ask(PROMPT)).toEqual(IN_STORAGE);
    });
  }

  await test.step("the storage worker throws, and the next one too", async () => {
    await session.startReady({ namespace });
    await kill("throws");
    await session.reaches(afterFault("ready", "worker"));
    expect(await session.ask(PROMPT)).toEqual(IN_STORAGE);
    await kill("throws");
    await session.reaches(afterFault("off", "worker"));
    await session.forget();
    expect(await session.ask(PROMPT)).toEqual(NOWHERE);
  });

  for (const [fault, stores, code] of [
    ["the storage worker has no script", "missing", "worker"],
    ["there is no IndexedDB", "noIndexedDb", "unavailable"],
  ] as const) {
    await test.step(fault, async () => {
      await page.evaluate((stores) => window.storagePage.stores.useStores(stores), stores);
      await session.start({ namespace });
      expect(await session.ask(PROMPT)).toEqual(NOWHERE);
      expect(await session.storage()).toMatchObject(afterFault("off", code));
    });
  }
  await page.evaluate(() => window.storagePage.stores.useStores("sound"));
}

/** Comes before all that is written: Chromium remembers for half a minute how much room there was. */
async function standsNoRoom(session: StorageSession, cdp: CDPSession): Promise<void> {
  const namespace = "room";
  const { page } = session;
  const origin = new URL(page.url()).origin;

  await test.step("the browser has no room for any commit", async () => {
    await cdp.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1 });
    await session.start({ namespace });
    expect(await session.ask(PROMPT)).toEqual(NOWHERE);
    await session.flush();
    const expected = afterFault("readOnly", "quota", { numDropped: NUM_CHUNKS, numChunks: 0 });
    expect(await session.storage()).toMatchObject(expected);
    await session.forget();
    expect(await session.ask(PROMPT)).toEqual(NOWHERE);
  });

  await test.step("the browser has room for one prompt and a little: some of the first goes for the second", async () => {
    const { usage = 0 } = await page.evaluate(() => navigator.storage.estimate());
    await cdp.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: usage + 240_000 });
    await session.seed(namespace);
    expect(await session.ask(OTHER_PROMPT)).toEqual(NOWHERE);
    await session.flush();
    // Either what went made room enough, or what came was dropped: that is a matter of how much was written at once.
    const numChunks = (await session.storage())?.numChunks;
    expect(numChunks).toBeLessThan(2 * NUM_CHUNKS);
    await cdp.send("Storage.overrideQuotaForOrigin", { origin });
    await session.start({ namespace });
    await session.ask(PROMPT);
    expect(await session.storage()).toMatchObject({ lastFault: null, numFailed: 0 });
  });
}
