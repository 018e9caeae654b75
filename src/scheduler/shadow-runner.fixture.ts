import { type KvGeometry, NULL_BLOCK_ID } from "../kv/geometry";
import { assert } from "../util/errors";
import type { ExpectedTokens } from "./expected-tokens.property.fixture";
import type { ScheduledRequest, SchedulerOutput, StepResult } from "./scheduler-output";

interface ShadowRow {
  readonly requestId: string;
  readonly expected: ExpectedTokens;
  /** By group and entry; an entry that was never written since the row is new holds nothing that may be used. */
  readonly blockTables: number[][];
  /** The position that it computes next; null before its first step. */
  nextPosition: number | null;
  /** Where the id belongs that the row sampled last. */
  sampledPosition: number | null;
}

/** The blocks that one row's part of a step names: those that its queries see, and those of them that it writes. */
interface NamedBlocks {
  readonly row: number;
  readonly blockIds: ReadonlySet<number>;
  readonly writtenIds: ReadonlySet<number>;
}

export interface ShadowStep {
  readonly output: SchedulerOutput;
  readonly result: StepResult;
  readonly named: readonly NamedBlocks[];
}

export interface ShadowRunnerOptions {
  readonly geometry: KvGeometry;
  /** Blocks of the pool, the null block included. */
  readonly numBlocks: number;
  readonly maxNumRunning: number;
  /** What the live request of that id must see. */
  readonly expectedOf: (requestId: string) => ExpectedTokens;
}

/**
 * A runner without a GPU, for tests. It remembers what every KV slot was last written for: the group, and the whole
 * prefix up to the token. A step fails that would read anything else, at any position that one of its queries sees, or
 * that would write what an unprocessed step of another row still names. All writes of a step come before its reads.
 */
export class ShadowRunner {
  readonly #options: ShadowRunnerOptions;
  readonly #rows = new Map<number, ShadowRow>();
  /** By block id * block size + offset; 0 where nothing was written. */
  readonly #contents: Int32Array;
  /** In order of submission; the ids of the oldest come back next. */
  readonly #unprocessed: ShadowStep[] = [];

  constructor(options: ShadowRunnerOptions) {
    this.#options = options;
    this.#contents = new Int32Array(options.numBlocks * options.geometry.blockSize);
  }

  get unprocessed(): readonly ShadowStep[] {
    return this.#unprocessed;
  }

  run(output: SchedulerOutput): ShadowStep {
    for (const { row, requestId } of output.newRows) this.#beginRow(row, requestId);
    const numTokens = output.scheduled.reduce((sum, entry) => sum + entry.numTokens, 0);
    assert(numTokens === output.numTokens, "the step's tokens do not add up");
    for (const entry of output.scheduled) this.#feed(entry);
    const named = output.scheduled.map((entry) => this.#nameBlocks(entry));
    this.#checkWrites(named);
    for (const entry of output.scheduled) this.#write(entry);
    for (const entry of output.scheduled) this.#checkReads(entry);
    const sampling = output.scheduled.filter((entry) => entry.samples);
    const result = { stepIndex: output.stepIndex, sampled: sampling.map((entry) => this.#sample(entry)) };
    const step = { output, result, named };
    this.#unprocessed.push(step);
    return step;
  }

  /** What a block's slots were last written for. */
  readBlock(blockId: number): Int32Array {
    const { blockSize } = this.#options.geometry;
    return this.#contents.slice(blockId * blockSize, (blockId + 1) * blockSize);
  }

  /** Another device: nothing was ever written to it. */
  forgetAll(): void {
    this.#contents.fill(0);
  }

  /** A copy from outside, ahead of the next step. */
  writeBlock(blockId: number, contents: Int32Array): void {
    const isNamed = this.#unprocessed.some(({ named }) => named.some(({ blockIds }) => blockIds.has(blockId)));
    assert(!isNamed, () => `a load writes block ${blockId}, which a step in flight names`);
    this.#contents.set(contents, blockId * this.#options.geometry.blockSize);
  }

  /** The oldest step comes back. */
  process(): ShadowStep {
    const step = this.#unprocessed.shift();
    assert(step, "no step is in flight");
    return step;
  }

  isRowNamed(row: number): boolean {
    return this.#unprocessed.some(({ named }) => named.some((entry) => entry.row === row));
  }

  /** Fails where a step in flight names one of these blocks. */
  checkNoneNamed(freeBlockIds: ReadonlySet<number>): void {
    for (const { output, named } of this.#unprocessed) {
      for (const { row, blockIds } of named) {
        for (const id of blockIds) {
          assert(!freeBlockIds.has(id), () => `block ${id} is free; step ${output.stepIndex} names it in row ${row}`);
        }
      }
    }
  }

  #beginRow(row: number, requestId: string): void {
    assert(row >= 0 && row < this.#options.maxNumRunning, () => `there is no row ${row}`);
    assert(!this.isRowNamed(row), () => `row ${row} is new, but a step in flight names it`);
    const blockTables = this.#options.geometry.groups.map(() => []);
    const expected = this.#options.expectedOf(requestId);
    this.#rows.set(row, { requestId, expected, blockTables, nextPosition: null, sampledPosition: null });
  }

  /** Takes the entry's ids and table entries as the GPU would have them, and fails where they are not the request's own. */
  #feed({ requestId, row, startPosition, numTokens, tokens, blockTableUpdates }: ScheduledRequest): void {
    const shadow = this.#rows.get(row);
    assert(shadow?.requestId === requestId, () => `row ${row} is not ${requestId}'s`);
    shadow.nextPosition ??= startPosition;
    assert(startPosition === shadow.nextPosition, () => `${requestId} skipped or repeated a position`);
    if (tokens.kind === "ids") {
      assert(tokens.ids.length === numTokens, () => `${requestId}: ${tokens.ids.length} ids for ${numTokens} tokens`);
      const isRight = tokens.ids.every((id, i) => id === shadow.expected.at(startPosition + i));
      assert(isRight, () => `${requestId} is fed ${tokens.ids} from position ${startPosition} on`);
    } else {
      const isRight = numTokens === 1 && shadow.sampledPosition === startPosition;
      assert(isRight, () => `${requestId}: the id at ${startPosition} is not the one that its row sampled last`);
    }
    shadow.nextPosition += numTokens;
    for (const { group, firstIndex, blockIds } of blockTableUpdates) {
      blockIds.forEach((blockId, i) => {
        shadow.blockTables[group][firstIndex + i] = blockId;
      });
    }
  }

  #nameBlocks({ row, startPosition, numTokens }: ScheduledRequest): NamedBlocks {
    const { blockSize, groups } = this.#options.geometry;
    const blockIds = new Set<number>();
    const writtenIds = new Set<number>();
    groups.forEach(({ window }, group) => {
      const end = startPosition + numTokens;
      for (let index = Math.floor(firstVisible(startPosition, window) / blockSize); index * blockSize < end; index++) {
        const blockId = this.#blockAt(row, group, index);
        blockIds.add(blockId);
        if ((index + 1) * blockSize > startPosition) writtenIds.add(blockId);
      }
    });
    return { row, blockIds, writtenIds };
  }

  #checkWrites(named: readonly NamedBlocks[]): void {
    const earlier = this.#unprocessed.flatMap((step) => step.named);
    for (const { row, writtenIds } of named) {
      for (const blockId of writtenIds) {
        const isNamed = earlier.some((other) => other.row !== row && other.blockIds.has(blockId));
        assert(!isNamed, () => `row ${row} writes block ${blockId}, which a step in flight names in another row`);
        const isShared = named.some((other) => other.row !== row && other.writtenIds.has(blockId));
        assert(!isShared, () => `two rows write block ${blockId} in one step`);
      }
    }
  }

  #write({ row, startPosition, numTokens }: ScheduledRequest): void {
    for (let group = 0; group < this.#options.geometry.groups.length; group++) {
      for (let position = startPosition; position < startPosition + numTokens; position++) {
        this.#contents[this.#slot(row, group, position)] = this.#contentsOf(row, group, position);
      }
    }
  }

  #checkReads({ row, requestId, startPosition, numTokens }: ScheduledRequest): void {
    this.#options.geometry.groups.forEach(({ window }, group) => {
      for (let position = firstVisible(startPosition, window); position < startPosition + numTokens; position++) {
        const slot = this.#slot(row, group, position);
        const isRight = this.#contents[slot] === this.#contentsOf(row, group, position);
        assert(
          isRight,
          () => `${requestId} reads slot ${slot} for position ${position} of group ${group}: not its prefix`,
        );
      }
    });
  }

  #sample({ row, requestId, startPosition, numTokens }: ScheduledRequest): StepResult["sampled"][number] {
    const shadow = this.#rows.get(row)!;
    shadow.sampledPosition = startPosition + numTokens;
    return { requestId, ...shadow.expected.sample(shadow.sampledPosition) };
  }

  #slot(row: number, group: number, position: number): number {
    const { blockSize } = this.#options.geometry;
    return this.#blockAt(row, group, Math.floor(position / blockSize)) * blockSize + (position % blockSize);
  }

  #blockAt(row: number, group: number, index: number): number {
    const blockId = this.#rows.get(row)!.blockTables[group][index];
    assert(
      blockId !== undefined && blockId !== NULL_BLOCK_ID,
      () => `row ${row} has no block ${index} of group ${group}`,
    );
    return blockId;
  }

  #contentsOf(row: number, group: number, position: number): number {
    const { groups } = this.#options.geometry;
    return this.#rows.get(row)!.expected.prefixId(position) * groups.length + group + 1;
  }
}

function firstVisible(position: number, window: number | null): number {
  return window === null ? 0 : Math.max(0, position - window + 1);
}
