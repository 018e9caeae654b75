import { BLOCK_SIZE, type KvGeometry, NULL_BLOCK_ID } from "../kv/geometry";
import { assert } from "../util/errors";
import type { ScheduledRequest, SchedulerOutput, StepResult } from "./scheduler-output";

/** The id that the scripted model samples at a position of a request. */
export type SampleScript = (
  requestId: string,
  position: number,
) => { readonly tokenId: number; readonly finite: boolean };

interface ShadowRow {
  readonly requestId: string;
  /** Ids fed so far, by position. */
  readonly fedTokenIds: number[];
  readonly blockTables: number[][];
  lastSampledId: number | null;
}

/**
 * A runner without a GPU for tests. It remembers which (request, position, token) each KV slot was last written for and
 * fails when a step would read anything else, for each position that a query of the step can see.
 */
export class ShadowRunner {
  readonly #geometry: KvGeometry;
  readonly #script: SampleScript;
  readonly #rows = new Map<number, ShadowRow>();
  /** What was written last, by block id * BLOCK_SIZE + offset. */
  readonly #slots = new Map<number, string>();

  constructor(geometry: KvGeometry, script: SampleScript) {
    this.#geometry = geometry;
    this.#script = script;
  }

  run(output: SchedulerOutput): StepResult {
    for (const { row, requestId } of output.newRows) {
      const blockTables = this.#geometry.groups.map(() => []);
      this.#rows.set(row, { requestId, fedTokenIds: [], blockTables, lastSampledId: null });
    }
    const numTokens = output.scheduled.reduce((sum, entry) => sum + entry.numTokens, 0);
    assert(numTokens === output.numTokens, "the step's tokens do not add up");
    const rows = new Set(output.scheduled.map((entry) => entry.row));
    assert(rows.size === output.scheduled.length, "a row is twice in a step");

    for (const entry of output.scheduled) this.#write(entry);
    for (const entry of output.scheduled) this.#read(entry);
    const sampling = output.scheduled.filter((entry) => entry.samples);
    return { stepIndex: output.stepIndex, sampled: sampling.map((entry) => this.#sample(entry)) };
  }

  #rowOf({ row, requestId }: ScheduledRequest): ShadowRow {
    const shadow = this.#rows.get(row);
    assert(shadow?.requestId === requestId, () => `row ${row} is not ${requestId}'s`);
    return shadow;
  }

  #write(entry: ScheduledRequest): void {
    const shadow = this.#rowOf(entry);
    const { fedTokenIds, blockTables } = shadow;
    assert(entry.startPosition === fedTokenIds.length, () => `${entry.requestId} skipped or repeated a position`);
    const ids = entry.tokens.kind === "ids" ? entry.tokens.ids : [shadow.lastSampledId!];
    assert(ids.length === entry.numTokens, () => `${entry.requestId}: ${ids.length} ids for ${entry.numTokens} tokens`);
    fedTokenIds.push(...ids);
    for (const { group, firstIndex, blockIds } of entry.blockTableUpdates) {
      assert(firstIndex === blockTables[group].length, () => `${entry.requestId}: a hole in the block table`);
      blockTables[group].push(...blockIds);
    }
    for (let group = 0; group < blockTables.length; group++) {
      for (let position = entry.startPosition; position < fedTokenIds.length; position++) {
        this.#slots.set(this.#slot(shadow, group, position), contents(shadow, group, position));
      }
    }
  }

  #read(entry: ScheduledRequest): void {
    const shadow = this.#rowOf(entry);
    this.#geometry.groups.forEach(({ window }, group) => {
      const firstVisible = window === null ? 0 : Math.max(0, entry.startPosition - window + 1);
      for (let position = firstVisible; position < shadow.fedTokenIds.length; position++) {
        const found = this.#slots.get(this.#slot(shadow, group, position));
        const expected = contents(shadow, group, position);
        assert(found === expected, () => `step reads ${found} where ${expected} should be`);
      }
    });
  }

  #sample(entry: ScheduledRequest): StepResult["sampled"][number] {
    const shadow = this.#rowOf(entry);
    const sampled = this.#script(entry.requestId, shadow.fedTokenIds.length);
    shadow.lastSampledId = sampled.tokenId;
    return { requestId: entry.requestId, ...sampled };
  }

  #slot({ blockTables, requestId }: ShadowRow, group: number, position: number): number {
    const blockId = blockTables[group][Math.floor(position / BLOCK_SIZE)];
    assert(blockId !== undefined && blockId !== NULL_BLOCK_ID, () => `${requestId} has no block at ${position}`);
    return blockId * BLOCK_SIZE + (position % BLOCK_SIZE);
  }
}

function contents({ requestId, fedTokenIds }: ShadowRow, group: number, position: number): string {
  return `${requestId}/group ${group}/position ${position}/token ${fedTokenIds[position]}`;
}
