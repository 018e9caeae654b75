import { afterEach } from "vitest";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { policyOf } from "../offload/arc-policy";
import type { Connector } from "../offload/connector";
import { HostManager } from "../offload/host-manager";
import { OffloadConnector, type OffloadConnectorOptions } from "../offload/offload-connector";
import type { OffloadManager } from "../offload/offload-manager";
import { makeOffloadPolicy, type OffloadPolicy } from "../offload/offload-policy";
import { ScriptedExecutor } from "../offload/storage/scripted-executor.fixture";
import type { StorageBooksOptions } from "../offload/storage/storage-books";
import { TieredManager } from "../offload/storage/tiered-manager";
import type { StorageStats } from "../offload/storage-tier";
import type { LoadJob, StoreJob, TransferResult } from "../offload/transfer-job";
import { ExpectedTokens, PrefixTrie } from "./expected-tokens.property.fixture";
import type { Request, RequestOptions } from "./request";
import { Scheduler } from "./scheduler";
import { deepFreeze, describeStep, makeRequest, type TestSchedulerOptions } from "./scheduler.fixture";
import type { SchedulerOptions } from "./scheduler-options";
import type { SchedulerOutput } from "./scheduler-output";
import { ShadowRunner } from "./shadow-runner.fixture";
import { ShadowTransfers } from "./shadow-transfers.fixture";

/** Tokens in a block here, as in scheduler.fixture.ts. */
const BLOCK_SIZE = 4;

export interface OffloadDriverOptions extends TestSchedulerOptions {
  readonly blocksPerChunk?: number;
  /** Host slots. */
  readonly numSlots?: number;
  readonly evictionPolicy?: "lru" | "arc";
  readonly storeThreshold?: number;
  readonly policy?: OffloadPolicy;
  readonly numStagingSlots?: number;
  /** Blocks that a step copies at most; no limit unless given. */
  readonly maxBlocksPerStep?: number;
  /** In the place of the host tier's. */
  readonly manager?: OffloadManager;
  /** There is a storage tier below the host tier, opened unless told otherwise. */
  readonly storage?: StorageSetup;
  readonly loadPolicy?: "auto" | "always";
  /** In the place of the one connector to the host tier; `common` is what such a one is made of. */
  readonly makeConnectors?: (common: OffloadConnectorOptions) => readonly Connector[];
  /** What the model gives a request at a position. */
  readonly sample?: (requestId: string, position: number) => number | null;
}

/** Up to 4 reads and any number of writes at once, unless told otherwise. */
export interface StorageSetup extends Pick<Partial<StorageBooksOptions>, "cascade" | "maxQueueBytes" | "chunkBytes"> {
  readonly isOpened?: boolean;
  readonly maxReads?: number;
  readonly maxChunksInFlight?: number;
}

const drivers: OffloadDriver[] = [];

afterEach(() => {
  for (const driver of drivers.splice(0)) driver.scheduler.checkIntegrity();
});

/** A step's entries; what it stores and loads; what came back; the free queue afterwards. */
export type OffloadTurn = [step: string, transfers: string, updates: string, freeBlockIds: string];

/**
 * Drives a scheduler with a real connector and host tier as the engine does, over the shadow oracle: every read, store and load is
 * checked for its contents. Copies end when `land` says so, or within the turn that submits them with `landsAtOnce`.
 * Outputs and results are frozen. 16 usable blocks of 4 tokens, chunks of one block and 32 host slots unless told otherwise.
 */
export class OffloadDriver {
  readonly scheduler: Scheduler;
  readonly connector: OffloadConnector;
  readonly manager: OffloadManager;
  readonly transfers: ShadowTransfers;
  readonly options: SchedulerOptions;
  /** Null where there is no storage tier. */
  readonly storage: ScriptedExecutor<readonly Int32Array[]> | null = null;
  readonly #tiers: TieredManager | null = null;
  /** The clock of the connector, in milliseconds. */
  nowMs = 0;
  landsAtOnce = true;
  /** As for copies: reads from storage, and writes to it. */
  storageEndsAtOnce = true;
  /** Whether a load's block arrives; all do unless told otherwise. */
  isGoodBlock: (block: LoadJob["blocks"][number]) => boolean = () => true;
  readonly #runner: ShadowRunner;
  readonly #trie = new PrefixTrie();
  readonly #expected = new Map<string, ExpectedTokens>();
  readonly #sample: NonNullable<OffloadDriverOptions["sample"]>;
  readonly #numStepsLate: number;
  /** "a0": chunk 0 of request a, in group 0; "a0/1" in group 1. By key; the first request that has it names it. */
  readonly #names = new Map<string, string>();
  readonly #slotNames = new Map<number, string>();

  constructor(maxInFlightSteps: number, options: OffloadDriverOptions = {}) {
    const {
      windows = [null],
      blocksPerChunk = 1,
      numSlots = 32,
      evictionPolicy = "lru",
      storeThreshold = 1,
      policy = makeOffloadPolicy("storeOnCompute"),
      numStagingSlots = 32,
      maxBlocksPerStep = 1000,
      manager,
      storage,
      loadPolicy,
      makeConnectors,
      sample = (_, position) => 500 + position,
      ...rest
    } = options;
    const geometry = geometryWithWindows(windows, BLOCK_SIZE, blocksPerChunk);
    const now = () => this.nowMs;
    this.options = {
      geometry,
      numBlocks: 17,
      maxNumRunning: 4,
      maxNumBatchedTokens: 32,
      maxPrefillChunkTokens: null,
      maxModelLen: 100,
      maxInFlightSteps,
      usePrefixCache: true,
      admissionWatermark: 0,
      ...rest,
    };
    this.#runner = new ShadowRunner({
      geometry,
      numBlocks: this.options.numBlocks,
      maxNumRunning: this.options.maxNumRunning,
      expectedOf: (requestId) => this.#expected.get(requestId)!,
    });
    this.transfers = new ShadowTransfers(geometry, this.#runner);
    const host = new HostManager({
      numSlots,
      evictionPolicy: policyOf(evictionPolicy),
      storeThreshold,
      reserveSlot: () => true,
      now,
    });
    if (storage) {
      const {
        isOpened = true,
        maxReads,
        maxChunksInFlight,
        chunkBytes = blocksPerChunk * geometry.pageBytes,
      } = storage;
      const room = { ...(maxReads && { maxReads }), ...(maxChunksInFlight && { maxChunksInFlight }) };
      const nameOf = (key: string) => this.nameOf(key);
      const executor = new ScriptedExecutor(this.transfers, { chunkBytes, nameOf, ...room });
      const numGroups = geometry.groups.length;
      this.storage = executor;
      this.#tiers = new TieredManager({ host, executor, numGroups, blocksPerChunk, now, ...storage, chunkBytes });
      if (isOpened) executor.open();
    }
    this.manager = manager ?? this.#tiers ?? host;
    const common = {
      geometry,
      numBlocks: this.options.numBlocks,
      manager: this.manager,
      policy,
      numStagingSlots,
      maxTransferBytesPerStep: maxBlocksPerStep * geometry.pageBytes,
      loadPolicy,
      now,
    };
    this.connector = new OffloadConnector(common);
    const connectors = makeConnectors?.(common) ?? [this.connector];
    this.scheduler = new Scheduler(this.options, connectors);
    this.#sample = sample;
    this.#numStepsLate = maxInFlightSteps - 1;
    drivers.push(this);
  }

  get freeBlockIds(): string {
    return this.scheduler.freeBlockIds.join();
  }

  /** Puts a request into the queue, see `makeRequest`. Requests sample equal ids at equal positions. */
  add(requestId: string, prompt: number | readonly number[], options: Partial<RequestOptions> = {}): Request {
    const request = makeRequest(requestId, prompt, options);
    const script = (position: number) => {
      const tokenId = this.#sample(requestId, position);
      return { tokenId: tokenId ?? 0, finite: tokenId !== null };
    };
    const sharesBlocks = request.usePrefixCache && this.options.usePrefixCache;
    const root = sharesBlocks ? `salt ${JSON.stringify(request.cacheSalt)}` : `request ${requestId}`;
    const expected = new ExpectedTokens(this.#trie, root, request.promptTokenIds, script);
    this.#expected.set(requestId, expected);
    const learned = this.transfers.learn(expected, request.cacheSalt, this.options.maxModelLen);
    for (const { key, group, chunk } of learned) {
      const name = `${requestId}${chunk}${group > 0 ? `/${group}` : ""}`;
      if (!this.#names.has(key)) this.#names.set(key, name);
    }
    this.scheduler.addRequest(request);
    return request;
  }

  /** Host slots that are free, pending, idle and pinned. */
  get hostSlots(): string {
    const { numFreeSlots, numPendingSlots, numIdleSlots, numPinnedSlots } = this.manager.stats;
    return `${numFreeSlots} free, ${numPendingSlots} pending, ${numIdleSlots} idle, ${numPinnedSlots} pinned`;
  }

  /** Schedules a step; processes the oldest if it has to, or if nothing could be scheduled. */
  turn(): OffloadTurn {
    const output = this.schedule();
    if (this.landsAtOnce) this.landAll();
    if (this.storageEndsAtOnce) this.storage?.endAll();
    const isDue = this.#runner.unprocessed.length > (output ? this.#numStepsLate : 0);
    const updates = isDue ? this.process() : [];
    return [describeStep(output), this.describeTransfers(output), updates.join(", "), this.freeBlockIds];
  }

  turns(numTurns: number): OffloadTurn[] {
    return Array.from({ length: numTurns }, () => this.turn());
  }

  /** Turns until nothing is left; fails after 300, for by then something is stuck. */
  run(): OffloadTurn[] {
    const turns: OffloadTurn[] = [];
    while (this.scheduler.hasUnfinished) {
      if (turns.length === 300) throw new Error("still unfinished after 300 turns");
      turns.push(this.turn());
    }
    return turns;
  }

  /** Half a turn: the step is in flight until `process`, its copies until `land`. */
  schedule(): SchedulerOutput | null {
    this.#tiers?.storage.settle();
    const output = this.scheduler.schedule();
    this.#tiers?.storage.pump();
    if (output) {
      deepFreeze(output);
      for (const { key, slotId } of output.transfers.stores) this.#slotNames.set(slotId, this.nameOf(key));
      for (const { slotId } of output.transfers.loads.flatMap(({ blocks }) => blocks)) {
        this.#slotNames.set(slotId, this.nameOf(this.transfers.keyOfSlot(slotId)));
      }
      this.transfers.run(output.transfers, ({ blocks }) => {
        const firstBad = blocks.findIndex((block) => !this.isGoodBlock(block));
        return firstBad < 0 ? blocks.length : firstBad;
      });
      this.#runner.run(output);
    }
    this.scheduler.checkIntegrity();
    return output;
  }

  /** Processes the oldest step in flight; what it brought. */
  process(): string[] {
    const { output, result } = this.#runner.process();
    const updates = this.scheduler.update(output, deepFreeze(result));
    this.scheduler.checkIntegrity();
    return updates.map(({ requestId, newTokenIds, finishReason }) =>
      [requestId, ...newTokenIds, ...(finishReason ? [finishReason] : [])].join(" "),
    );
  }

  /** A copy ends; `success` is about stores, `isGoodBlock` has said it for loads. */
  land(jobId: number, success = true): TransferResult {
    const result = deepFreeze(this.transfers.end(jobId, success));
    this.scheduler.completeTransfers([result]);
    this.scheduler.checkIntegrity();
    return result;
  }

  landAll(success = true): void {
    for (const { job } of this.transfers.jobs) this.land(job.jobId, success);
  }

  /** `store a0 <- 1,2` is chunk 0 of request a out of blocks 1 and 2; `load a0[1] -> 5` its second block into block 5. */
  describeTransfers(output: SchedulerOutput | null): string {
    if (!output) return "";
    const stores = output.transfers.stores.map(
      ({ key, blockIds }: StoreJob) => `store ${this.nameOf(key)} <- ${blockIds}`,
    );
    const { blocksPerChunk } = this.options.geometry;
    const loads = output.transfers.loads.map(({ blocks }) => {
      const described = blocks.map(({ slotId, blockInChunk, blockId }) => {
        const part = blocksPerChunk > 1 ? `[${blockInChunk}]` : "";
        return `${this.#slotNames.get(slotId)}${part} -> ${blockId}`;
      });
      return `load ${described.join(" ")}`;
    });
    return [...stores, ...loads].join(", ");
  }

  /** What was submitted to storage since the last call, touches left out. */
  takeStorageOps(): string[] {
    return this.storage!.log.splice(0).filter((each) => !each.startsWith("touch"));
  }

  /** Of the storage tier, as the connector tells them. */
  get storageStats(): StorageStats {
    return this.connector.stats.storage!;
  }

  nameOf(key: string): string {
    return this.#names.get(key) ?? key;
  }

  /** Key of a chunk by its name. */
  keyOf(name: string): string {
    return [...this.#names].find(([, each]) => each === name)![0];
  }

  /** The chunks of these names, by what the host tier says of them. */
  lookup(...names: string[]): string {
    return names.map((name) => this.manager.lookup(this.keyOf(name))).join(" ");
  }

  /** The GPU device is lost: what is in flight never comes back. */
  loseDevice(): void {
    while (this.#runner.unprocessed.length > 0) this.#runner.process();
    this.#runner.forgetAll();
    this.transfers.dropJobs();
    this.scheduler.beginEpoch();
    this.scheduler.checkIntegrity();
  }
}
