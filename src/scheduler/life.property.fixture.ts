import type { ExpectedTokens } from "./expected-tokens.property.fixture";
import type { ScheduledRequest } from "./scheduler-output";

/** How a life of a request ended. "aborted": from outside, for whatever reason. */
export type LifeEnd = "finished" | "aborted" | "preempted";

/** One life of a request, from its admission until its row is free, as outputs alone tell it. */
export class Life {
  readonly row: number;
  readonly requestId: string;
  readonly expected: ExpectedTokens;
  readonly usesCache: boolean;
  /** By group and entry. */
  readonly blockTables: number[][];
  /** By group: entries before it left the window, or were never seen. */
  readonly firstHeld: number[];
  /** Of its entries in steps that were not processed, oldest first. */
  readonly inFlight: ScheduledRequest[] = [];
  numComputedTokens = 0;
  /** Null while the request runs in this row. */
  end: LifeEnd | null = null;
  #numPublishedBlocks = 0;

  constructor(row: number, requestId: string, expected: ExpectedTokens, usesCache: boolean, numGroups: number) {
    this.row = row;
    this.requestId = requestId;
    this.expected = expected;
    this.usesCache = usesCache;
    this.blockTables = Array.from({ length: numGroups }, () => []);
    this.firstHeld = new Array<number>(numGroups).fill(0);
  }

  get numProcessedTokens(): number {
    return this.inFlight[0]?.startPosition ?? this.numComputedTokens;
  }

  get heldBlockIds(): number[] {
    return this.blockTables.flatMap((table, group) => table.slice(this.firstHeld[group]));
  }

  /** Begins with what the prefix cache has, which is published already. */
  beginWithHit(numBlocks: number, blockSize: number): void {
    this.numComputedTokens = numBlocks * blockSize;
    this.#numPublishedBlocks = numBlocks;
  }

  /** Indexes of the full blocks that are written and known, where `numTokens` are known; each index comes once. */
  takeUnpublished(numTokens: number, blockSize: number): number[] {
    const indexes: number[] = [];
    const numFullBlocks = Math.floor(Math.min(this.numComputedTokens, numTokens) / blockSize);
    while (this.#numPublishedBlocks < numFullBlocks) indexes.push(this.#numPublishedBlocks++);
    return indexes;
  }
}
