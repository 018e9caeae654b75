import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium } from "@playwright/test";
import { HEADLESS_ARGS, SOFTWARE_GPU_ARGS } from "../scripts/browser-args.mjs";
import { findBrowser } from "../scripts/find-browser.mjs";

/** The stores that Chromium is moving to; LevelDB without it. */
export const SQLITE_ARGS = ["--enable-features=IdbSqliteOnDiskRollout:stage/UseSqliteForNewStores"];

/** A browser's profile on the disk, which outlives the browsers that run on it. */
export class Profile {
  readonly dir: string;
  readonly #args: readonly string[];

  static async make(args: readonly string[] = []): Promise<Profile> {
    return new Profile(await mkdtemp(join(tmpdir(), "cairn-profile-")), args);
  }

  private constructor(dir: string, args: readonly string[]) {
    this.dir = dir;
    this.#args = args;
  }

  /** One browser at a time. */
  launch(): Promise<BrowserContext> {
    return chromium.launchPersistentContext(this.dir, {
      executablePath: findBrowser(),
      args: [...HEADLESS_ARGS, ...SOFTWARE_GPU_ARGS, ...this.#args],
    });
  }

  /** Runs a browser until `use` has ended. */
  async visit<T>(use: (context: BrowserContext) => Promise<T>): Promise<T> {
    const context = await this.launch();
    try {
      return await use(context);
    } finally {
      await context.close();
    }
  }

  /** Runs a browser until `use` calls `kill`, which ends all its processes at once by SIGKILL. Resolves when it is gone. */
  async visitUntilKilled(use: (context: BrowserContext, kill: () => void) => Promise<void>): Promise<void> {
    const context = await this.launch();
    const isGone = new Promise<void>((resolve) => context.once("close", () => resolve()));
    const processIds = await processIdsOf(context);
    let isKilled = false;
    const kill = () => {
      if (!isKilled) for (const id of processIds) process.kill(id, "SIGKILL");
      isKilled = true;
    };
    try {
      await use(context, kill);
    } catch (error) {
      if (!isKilled) throw error;
    } finally {
      if (!isKilled) await context.close();
    }
    if (!isKilled) throw new Error("the browser was not killed");
    await isGone;
  }

  async delete(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** Those that the browser has now; a page's workers live in one of them. */
async function processIdsOf(context: BrowserContext): Promise<readonly number[]> {
  const browser = context.browser();
  if (!browser) throw new Error("the browser cannot be asked for its processes");
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return processInfo.map(({ id }) => id);
}
