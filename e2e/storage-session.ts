import type { Page } from "@playwright/test";
import type { KvStats, KvStorageStats } from "../src/protocol/kv-messages";
import type { StoreCheck } from "../src/testing/block-rows";
import { COMMON_PREFIX, KV_CALLS_PROMPT } from "../src/testing/offload-cases";
import type {} from "../src/testing/storage-page"; // window.storagePage and window.storage
import type { Found, SessionOptions } from "../src/testing/storage-scenarios";
import { SHORT_MODEL } from "./short-model";
import { expect } from "./test";

export const MODEL_MOUNT = { "/model/": SHORT_MODEL };
/** Two chunks of each of three groups, and a few tokens. */
export const PROMPT = KV_CALLS_PROMPT;
export const NUM_STORED = 64;
export const NUM_CHUNKS = 6;
/** As many, of which none is one of those. */
export const OTHER_PROMPT = [...COMMON_PREFIX, 5];
export const NOWHERE = { gpu: 0, host: 0, storage: 0 };
export const IN_STORAGE = { ...NOWHERE, storage: NUM_STORED };
const NUM_IDS = 3;
export const POLLING = { intervals: [20, 50, 100] };

/** The engine that runs in a page, over whatever storage is there. */
export class StorageSession {
  readonly page: Page;
  readonly #expected = new Map<readonly number[], readonly number[]>();

  /** Loads the model, for all engines that are started. */
  static async open(page: Page, url: string): Promise<StorageSession> {
    await page.goto(url);
    const init = {
      model: { kind: "url", url: new URL("/model/", url).href },
      kvDtype: "f32",
      engine: { useGemvUpToTokens: 1 },
    } as const;
    await page.evaluate((init) => window.storagePage.open(init), init);
    return new StorageSession(page);
  }

  private constructor(page: Page) {
    this.page = page;
  }

  /** A new engine, which knows nothing but what is in storage. */
  start(options: SessionOptions): Promise<void> {
    return this.page.evaluate((options) => window.storage.start(options), options);
  }

  /** As `start`; resolves when the store is open. */
  async startReady(options: SessionOptions): Promise<void> {
    await this.start(options);
    await this.reaches({ state: "ready" });
  }

  /** The ids that follow must be those that follow without any cache. Tells where the prompt's KV was. */
  async ask(prompt: readonly number[]): Promise<Found["found"]> {
    const { found, ...answer } = await this.answer(prompt, NUM_IDS);
    expect(answer).toEqual({ end: "length", tokenIds: this.#expected.get(prompt) });
    return found;
  }

  answer(prompt: readonly number[], numIds: number): Promise<Found> {
    const run = ([prompt, numIds]: readonly [readonly number[], number]) => window.storage.ask(prompt, numIds);
    return this.page.evaluate(run, [prompt, numIds] as const);
  }

  /** Computes what `ask` is to be told for these. */
  async compute(...prompts: readonly (readonly number[])[]): Promise<void> {
    for (const prompt of prompts) {
      const run = ([prompt, numIds]: readonly [readonly number[], number]) => window.storage.compute(prompt, numIds);
      this.#expected.set(prompt, await this.page.evaluate(run, [prompt, NUM_IDS] as const));
    }
  }

  /** Has the prompt computed in an engine of its own, which goes on, until it is durable. */
  async seed(namespace: string): Promise<void> {
    await this.start({ namespace });
    expect(await this.ask(PROMPT)).toEqual(NOWHERE);
    await this.flush();
    expect(await this.storage()).toMatchObject({ state: "ready", numChunks: NUM_CHUNKS, lastFault: null });
  }

  /** What a store reads that nobody else has to do with. */
  async checkRecords(namespace: string): Promise<StoreCheck> {
    return this.page.evaluate(async (namespace) => {
      const [fingerprint, chunkBytes] = await Promise.all([window.storage.fingerprint, window.storage.chunkBytes]);
      const options = {
        namespace,
        fingerprint,
        chunkBytes,
        maxBytes: null,
        ttlMs: 24 * 3_600_000,
        backend: "auto",
      } as const;
      return window.storagePage.checkRecords(options);
    }, namespace);
  }

  flush(): Promise<void> {
    return this.page.evaluate(() => window.storage.flush());
  }

  /** Storage alone has what was cached. */
  async forget(): Promise<void> {
    await this.page.evaluate(() => window.storage.clear(["gpu", "host"]));
  }

  stats(): Promise<KvStats> {
    return this.page.evaluate(() => window.storage.stats());
  }

  async storage(): Promise<KvStorageStats | null> {
    return (await this.stats()).storage;
  }

  async reaches(expected: Record<string, unknown>): Promise<void> {
    await expect.poll(() => this.storage(), POLLING).toMatchObject(expected);
  }

  /** Until nothing is under way; then the books must be in order. */
  rest(): Promise<void> {
    return this.page.evaluate(() => window.storage.rest());
  }
}

/** What `stats().storage` has after a fault. */
export const afterFault = (state: string, code: string, rest: object = {}) => ({
  state,
  lastFault: expect.objectContaining({ code }),
  ...rest,
});
