import type { StorageParts } from "../engine/make-offload";
import { openStorage } from "../offload/storage/open-storage";
import type { StorageConnection } from "../offload/storage/storage-connection";
import type { StorageDeadlines } from "../offload/storage/storage-executor";
import type { KvStats, KvStore, PrefetchResult, TokensByTier } from "../protocol/kv-messages";
import type { EngineInit } from "../protocol/messages";
import { type Answer, OffloadRig, prefetch, type RigEngine, type RigOptions } from "./offload-rig";

/** What a request gave, and where its prompt's KV was. */
export interface Found {
  readonly tokenIds: readonly number[];
  readonly end: string;
  readonly found: TokensByTier | null;
}

export interface TogetherReport {
  readonly alone: readonly (readonly number[])[];
  readonly together: readonly Found[];
  readonly stats: KvStats;
}

export interface SessionOptions extends Omit<RigOptions, "storage"> {
  readonly namespace: string;
  /** Another fingerprint than that of the model that was loaded. */
  readonly fingerprint?: string;
  readonly deadlines?: StorageDeadlines;
}

/**
 * Engines one after the other over one device, each as after a restart: empty but for storage. They run the same in Node and
 * in a worker of a browser; all that comes out is plain data.
 */
export class StorageScenarios {
  readonly #rig: OffloadRig;
  readonly #connect: () => StorageConnection;
  #session: RigEngine | null = null;

  private constructor(rig: OffloadRig, connect: () => StorageConnection) {
    this.#rig = rig;
    this.#connect = connect;
  }

  static async open(gpu: GPU, init: EngineInit, connect: () => StorageConnection): Promise<StorageScenarios> {
    return new StorageScenarios(await OffloadRig.open(gpu, init), connect);
  }

  /** An engine that has just started, in place of the one before. */
  async start({
    namespace,
    fingerprint = this.#rig.parts.kvFingerprint,
    deadlines,
    ...options
  }: SessionOptions): Promise<void> {
    await this.end();
    const storage: StorageParts = {
      openStorage: (options) => openStorage({ ...options, deadlines }),
      connect: this.#connect,
      namespace,
      fingerprint,
    };
    this.#session = this.#rig.engine({ ...options, storage });
  }

  /** Ends the engine as a page does that is closed: what is on its way to storage is lost. */
  async end(): Promise<void> {
    await this.#session?.end();
    this.#session = null;
  }

  async ask(
    promptIds: readonly number[],
    maxTokens: number,
    options: { kvStore?: KvStore; cacheSalt?: string } = {},
  ): Promise<Found> {
    return foundOf(await this.#engine.ask(promptIds, maxTokens, options));
  }

  /** The same prompt, with no cache at all. */
  async compute(promptIds: readonly number[], maxTokens: number): Promise<readonly number[]> {
    const plain = this.#rig.engine({ usePrefixCache: false });
    const { tokenIds } = await plain.ask(promptIds, maxTokens);
    await plain.rest();
    return tokenIds;
  }

  async askTogether(prompts: readonly (readonly number[])[], maxTokens: number): Promise<TogetherReport> {
    const answers = await Promise.all(prompts.map((prompt) => this.#engine.ask(prompt, maxTokens)));
    const alone: (readonly number[])[] = [];
    const stats = this.stats();
    await this.rest();
    for (const prompt of prompts) alone.push(await this.compute(prompt, maxTokens));
    return { alone, together: answers.map(foundOf), stats };
  }

  prefetch(promptIds: readonly number[]): Promise<PrefetchResult> {
    return prefetch(this.#engine, promptIds);
  }

  flush(): Promise<void> {
    return this.#engine.engine.kvFlush();
  }

  clear(tiers: readonly ("gpu" | "host" | "storage")[]): Promise<void> {
    return this.#engine.engine.kvClear(tiers);
  }

  stats(): KvStats {
    return this.#engine.engine.kvStats();
  }

  /** Until nothing is under way; then the books must be in order. */
  rest(): Promise<void> {
    return this.#engine.rest();
  }

  /** Of the model that was loaded. */
  get fingerprint(): string {
    return this.#rig.parts.kvFingerprint;
  }

  get chunkBytes(): number {
    const { blocksPerChunk, pageBytes } = this.#rig.parts.geometry;
    return blocksPerChunk * pageBytes;
  }

  get chunkTokens(): number {
    const { blockSize, blocksPerChunk } = this.#rig.parts.geometry;
    return blockSize * blocksPerChunk;
  }

  dispose(): void {
    void this.#session?.end();
    this.#rig.dispose();
  }

  get #engine(): RigEngine {
    if (!this.#session) throw new Error("no engine was started");
    return this.#session;
  }
}

function foundOf({ tokenIds, end, found }: Answer): Found {
  return { tokenIds, end, found };
}
