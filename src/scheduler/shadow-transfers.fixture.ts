import type { KvKey } from "../kv/chunk";
import { kvKey } from "../kv/chunk";
import type { KvGeometry } from "../kv/geometry";
import { PrefixHashes } from "../kv/prefix-hashes";
import type { LoadJob, StepTransfers, StoreJob, TransferResult } from "../offload/transfer-job";
import { assert } from "../util/errors";
import type { ExpectedTokens } from "./expected-tokens.property.fixture";
import type { ShadowRunner } from "./shadow-runner.fixture";

/** A copy whose result the scheduler has not heard of. */
export interface ShadowJob {
  readonly kind: "store" | "load";
  readonly job: StoreJob | LoadJob;
  /** What its result will be, and what it does to the host slot. */
  end(success: boolean): TransferResult;
}

/** Contents that nobody may read. */
const POISON = -1;

/**
 * The copies of a runner without a GPU, for tests. Blocks are read and written when a step is submitted, as on the GPU's queue; a
 * host slot is written when a store's result is told. A store fails the test whose blocks do not hold what its key
 * names; so does a load of a slot that holds no chunk.
 */
export class ShadowTransfers {
  readonly #geometry: KvGeometry;
  readonly #runner: ShadowRunner;
  /** What each key names, block by block. */
  readonly #contentsOf = new Map<KvKey, readonly Int32Array[]>();
  readonly #slots = new Map<number, { readonly key: KvKey; readonly blocks: readonly Int32Array[] }>();
  /** Slots that jobs under way write or read. */
  readonly #jobs = new Map<number, ShadowJob>();

  constructor(geometry: KvGeometry, runner: ShadowRunner) {
    this.#geometry = geometry;
    this.#runner = runner;
  }

  get jobs(): readonly ShadowJob[] {
    return [...this.#jobs.values()];
  }

  /** What a host slot holds. */
  keyOfSlot(slotId: number): KvKey {
    return this.#slots.get(slotId)!.key;
  }

  /** Learns what the keys of a request's first `numTokens` positions name. */
  learn(
    expected: ExpectedTokens,
    cacheSalt: string | null,
    numTokens: number,
  ): { readonly key: KvKey; readonly group: number; readonly chunk: number }[] {
    const { blockSize, blocksPerChunk, groups } = this.#geometry;
    const tokenIds = (start: number, end: number) =>
      Array.from({ length: end - start }, (_, i) => expected.at(start + i));
    const hashes = new PrefixHashes(blockSize, { cacheSalt }, tokenIds);
    const learned: { key: KvKey; group: number; chunk: number }[] = [];
    for (let last = blocksPerChunk - 1; (last + 1) * blockSize <= numTokens; last += blocksPerChunk) {
      groups.forEach((_, group) => {
        const blocks = Array.from({ length: blocksPerChunk }, (_, i) => {
          const start = (last - blocksPerChunk + 1 + i) * blockSize;
          const contentsAt = (_: unknown, offset: number) =>
            expected.prefixId(start + offset) * groups.length + group + 1;
          return Int32Array.from({ length: blockSize }, contentsAt);
        });
        const key = kvKey(group, hashes.at(last));
        this.#contentsOf.set(key, blocks);
        learned.push({ key, group, chunk: Math.floor(last / blocksPerChunk) });
      });
    }
    return learned;
  }

  /** `numGoodBlocks`: how many blocks of a load arrive; what is behind them is never to be read. */
  run({ stores, loads }: StepTransfers, numGoodBlocks: (job: LoadJob) => number): void {
    for (const job of stores) this.#store(job);
    for (const job of loads) this.#load(job, numGoodBlocks(job));
  }

  /** What goes from a host slot to storage; it must be what the key names. */
  copyOut(slotId: number, key: KvKey): readonly Int32Array[] {
    const slot = this.#slots.get(slotId);
    assert(slot?.key === key, () => `slot ${slotId} is written to storage for ${key}, but holds ${slot?.key}`);
    this.#checkContents(key, slot.blocks);
    return slot.blocks;
  }

  /** A host slot is read into from storage: nobody may use it. */
  spoil(slotId: number): void {
    const isUsed = this.jobs.some(({ job }) =>
      "slotId" in job ? job.slotId === slotId : job.blocks.some((block) => block.slotId === slotId),
    );
    assert(!isUsed, () => `slot ${slotId} is read into from storage while a job uses it`);
    this.#slots.delete(slotId);
  }

  copyIn(slotId: number, key: KvKey, blocks: readonly Int32Array[]): void {
    this.spoil(slotId);
    this.#checkContents(key, blocks);
    this.#slots.set(slotId, { key, blocks });
  }

  #checkContents(key: KvKey, blocks: readonly Int32Array[]): void {
    const expected = this.#contentsOf.get(key);
    assert(`${expected}` === `${blocks}`, () => `${blocks} are stored as ${key}, which names ${expected}`);
  }

  /** A job's result, told now. */
  end(jobId: number, success: boolean): TransferResult {
    const job = this.#jobs.get(jobId);
    assert(job, () => `job ${jobId} is not under way`);
    this.#jobs.delete(jobId);
    return job.end(success);
  }

  /** The device is gone, and no result comes. */
  dropJobs(): void {
    this.#jobs.clear();
  }

  #store(job: StoreJob): void {
    const { jobId, epoch, key, blockIds, slotId } = job;
    const contents = blockIds.map((blockId) => this.#runner.readBlock(blockId));
    const expected = this.#contentsOf.get(key);
    assert(expected, () => `job ${jobId} stores a chunk of nobody`);
    const isRight = contents.every((block, i) => `${block}` === `${expected[i]}`);
    assert(isRight, () => `job ${jobId} stores ${contents} from blocks ${blockIds}; its key names ${expected}`);
    const isWritten = [...this.#jobs.values()].some(
      ({ kind, job }) => kind === "store" && "slotId" in job && job.slotId === slotId,
    );
    assert(!isWritten, () => `two stores write slot ${slotId}`);
    this.#add("store", job, (success) => {
      const isRead = this.#loadsUnderWay.some(({ blocks }) => blocks.some((block) => block.slotId === slotId));
      assert(!isRead, () => `slot ${slotId} is written while a load reads it`);
      if (success) this.#slots.set(slotId, { key, blocks: contents });
      else this.#slots.delete(slotId);
      return { jobId, epoch, numBlocks: success ? blockIds.length : 0 };
    });
  }

  #load(job: LoadJob, numGoodBlocks: number): void {
    const { jobId, epoch, blocks } = job;
    blocks.forEach(({ slotId, blockInChunk, blockId }, i) => {
      const slot = this.#slots.get(slotId);
      assert(slot, () => `job ${jobId} loads slot ${slotId}, which holds nothing`);
      const poison = new Int32Array(this.#geometry.blockSize).fill(POISON);
      this.#runner.writeBlock(blockId, i < numGoodBlocks ? slot.blocks[blockInChunk] : poison);
    });
    this.#add("load", job, () => ({ jobId, epoch, numBlocks: numGoodBlocks }));
  }

  get #loadsUnderWay(): LoadJob[] {
    return [...this.#jobs.values()].flatMap(({ kind, job }) => (kind === "load" ? [job as LoadJob] : []));
  }

  #add(kind: ShadowJob["kind"], job: StoreJob | LoadJob, end: ShadowJob["end"]): void {
    assert(!this.#jobs.has(job.jobId), () => `job id ${job.jobId} is used twice`);
    this.#jobs.set(job.jobId, { kind, job, end });
  }
}
