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

  async delete(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}
