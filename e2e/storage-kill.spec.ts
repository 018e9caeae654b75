import { join } from "node:path";
import type { Page } from "@playwright/test";
import { ROOT } from "../scripts/project.mjs";
import { readCertainCases } from "../src/testing/demo-model";
import { Profile, SQLITE_ARGS } from "./persistent-browser";
import { StorageSession } from "./storage-session";
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

const IS_SOAK = Boolean(process.env.CAIRN_SOAK);
/** Of the browser, by what writes. */
const NUM_KILLS = IS_SOAK ? { chunks: 17, engine: 3 } : { chunks: 2, engine: 1 };
/** The browser's, and ours. */
const BACK_ENDS = [
  { name: "a file and LevelDB", args: [] as string[], backend: "auto" },
  { name: "a file and SQLite", args: SQLITE_ARGS, backend: "auto" },
  { name: "LevelDB", args: [], backend: "indexeddb" },
] as const;
type Backend = (typeof BACK_ENDS)[number]["backend"];
const CHUNKS_PER_WRITE = 8;
const MODEL_MOUNT = { "/model/": join(ROOT, "public/models/cairn-stories-3M") };
/** Texts of 4 and 7 chunks of three groups, whose ids are known. */
const CASES = [readCertainCases()[2], readCertainCases()[4]];
const NUM_FIRST_CHUNKS = 12;
const NUM_IDS = 3;
const MAX_ATTEMPTS = 3;

/** What a page has said of its writes, by number. */
class WriteLog {
  readonly begun: number[] = [];
  readonly ended: number[] = [];
  numChunksEnded = 0;

  /** `onBegin` is called at each begin. */
  watch(page: Page, onBegin: () => void): void {
    page.on("console", (message) => {
      const [, event, id, numChunks] = /^write (begin|end) (\d+) (\d+)$/.exec(message.text()) ?? [];
      if (event === "end") {
        this.ended.push(Number(id));
        this.numChunksEnded += Number(numChunks);
      }
      if (event !== "begin") return;
      this.begun.push(Number(id));
      onBegin();
    });
  }
}

for (const { name, args, backend } of BACK_ENDS) {
  test(`chunks that a browser was writing when it was killed are whole or not there, over ${name}`, async () => {
    test.setTimeout(60_000 + 30_000 * NUM_KILLS.chunks);
    const profile = await Profile.make(args);
    await withTestPage("storage.html", {}, async (url) => {
      const endedIds: number[] = [];
      let nextId = 0;
      for (let kill = 0; kill < NUM_KILLS.chunks; kill++) {
        const log = await writeUntilKilled(profile, url, backend, nextId, 6 + 5 * (kill % 4), endedIds);
        expect(log.begun.length).toBeGreaterThan(log.ended.length);
        endedIds.push(...log.ended);
        nextId = log.begun.at(-1)! + CHUNKS_PER_WRITE;
      }
      await profile.visit(async (context) => {
        await context.pages()[0].goto(url);
        await checkChunks(context.pages()[0], backend, endedIds);
      });
      expect(endedIds.length).toBeGreaterThan(0);
    });
    await profile.delete();
  });

  if (backend !== "auto") continue;
  test(`an engine that was killed while it wrote KV goes on with what is whole, over ${name}`, async () => {
    test.setTimeout(60_000 + 240_000 * NUM_KILLS.engine);
    await withTestPage("storage.html", MODEL_MOUNT, async (url) => {
      for (let kill = 0; kill < NUM_KILLS.engine; kill++) {
        const profile = await Profile.make(args);
        // A kill that came between two writes proves nothing, and is done again.
        let isProven = false;
        for (let attempt = 0; attempt < MAX_ATTEMPTS && !isProven; attempt++) {
          const namespace = `kill ${attempt}`;
          const log = await askUntilKilled(profile, url, namespace);
          isProven = log.begun.length > log.ended.length;
          await profile.visit((context) => checkEngine(context.pages()[0], url, namespace));
        }
        expect(isProven).toBe(true);
        await profile.delete();
      }
    });
  });
}

/** Checks the chunks of the visits before, then writes more until the browser is killed at a write's begin. */
async function writeUntilKilled(
  profile: Profile,
  url: string,
  backend: Backend,
  firstId: number,
  numBegun: number,
  endedIds: readonly number[],
): Promise<WriteLog> {
  const log = new WriteLog();
  await profile.visitUntilKilled(async (context, kill) => {
    const page = context.pages()[0];
    await page.goto(url);
    await checkChunks(page, backend, endedIds);
    log.watch(page, () => log.begun.length === numBegun && kill());
    const write = ([id, backend]: readonly [number, Backend]) => window.storagePage.writeChunks(id, backend);
    await page.evaluate(write, [firstId, backend] as const);
  });
  return log;
}

/** All that is there is whole; writes are there wholly or not at all, and in any case if they had ended. */
async function checkChunks(page: Page, backend: Backend, endedIds: readonly number[]): Promise<void> {
  const check = (backend: Backend) => window.storagePage.checkChunks(backend);
  const { problems, wholeIds, numInFile } = await page.evaluate(check, backend);
  expect([problems, numInFile]).toEqual([[], backend === "auto" ? wholeIds.length : 0]);
  const firstIds = wholeIds.filter((id) => id % CHUNKS_PER_WRITE === 0);
  expect(wholeIds).toHaveLength(firstIds.length * CHUNKS_PER_WRITE);
  expect(firstIds).toEqual(expect.arrayContaining([...endedIds]));
}

/** Asks for one text after the other until the browser is killed, when a write of the second's KV begins. */
async function askUntilKilled(profile: Profile, url: string, namespace: string): Promise<WriteLog> {
  const log = new WriteLog();
  await profile.visitUntilKilled(async (context, kill) => {
    const page = context.pages()[0];
    const session = await StorageSession.open(page, url);
    log.watch(page, () => log.numChunksEnded >= NUM_FIRST_CHUNKS && kill());
    await page.evaluate(() => window.storagePage.logWrites());
    await session.startReady({ namespace });
    for (const { promptIds } of CASES) {
      await session.answer(promptIds, NUM_IDS);
      await session.flush();
    }
  });
  return log;
}

/** Every record is whole, at least one is read, and the answers are what they would be without. */
async function checkEngine(page: Page, url: string, namespace: string): Promise<void> {
  const session = await StorageSession.open(page, url);
  const check = await session.checkRecords(namespace);
  expect(check).toEqual({ ...check, haveMetas: true, numIndexed: check.numRecords, numWhole: check.numRecords });
  await session.startReady({ namespace });
  const answers = [];
  for (const { promptIds } of CASES) answers.push(await session.answer(promptIds, NUM_IDS));
  expect(answers.map(({ tokenIds }) => tokenIds)).toEqual(CASES.map(({ greedyIds }) => greedyIds.slice(0, NUM_IDS)));
  expect(answers.some(({ found }) => found && found.storage > 0)).toBe(true);
  expect(await session.storage()).toMatchObject({ state: "ready", lastFault: null, numFailed: 0 });
}
