import { assert } from "../util/errors";
import type { ExpectedTokens } from "./expected-tokens.property.fixture";
import { Life, type LifeEnd } from "./life.property.fixture";
import { countHit, type RareEvents } from "./rare-events.property.fixture";
import { ReferenceCache } from "./reference-cache.property.fixture";
import type { Request } from "./request";
import type { SchedulerOptions } from "./scheduler-options";
import type { ScheduledRequest, SchedulerOutput, StepResult } from "./scheduler-output";
import type { ShadowStep } from "./shadow-runner.fixture";

/** Goes through steps as the scheduler made them, entry by entry: hits, blocks handed out, full blocks published. */
export class StepFollower {
  readonly #options: SchedulerOptions;
  readonly #events: RareEvents;
  readonly #cache: ReferenceCache;
  readonly #expectedOf: (request: Request) => ExpectedTokens;
  /** By row, until the last step that names it was processed. */
  readonly #lives = new Map<number, Life>();

  constructor(options: SchedulerOptions, events: RareEvents, expectedOf: (request: Request) => ExpectedTokens) {
    this.#options = options;
    this.#events = events;
    this.#cache = new ReferenceCache(options.geometry, events);
    this.#expectedOf = expectedOf;
  }

  /** Lives that have ended while steps in flight name them. */
  get leaving(): Life[] {
    return [...this.#lives.values()].filter(({ end }) => end !== null);
  }

  get heldBlockIds(): ReadonlySet<number> {
    return new Set([...this.#lives.values()].flatMap((life) => life.heldBlockIds));
  }

  lifeOf({ requestId }: Request): Life | null {
    return [...this.#lives.values()].find((life) => life.end === null && life.requestId === requestId) ?? null;
  }

  end(life: Life, end: LifeEnd): void {
    life.end = end;
    if (life.inFlight.length > 0) this.#events.count("a leaving row delays a free");
    this.#forgetDone();
  }

  resetPrefixCache(): void {
    this.#cache.reset();
  }

  /** Before a step is followed, for each request that runs. */
  leaveWindow(request: Request): void {
    const life = this.lifeOf(request);
    if (life) this.#cache.leaveWindow(life);
  }

  /** `requestOf` gives the live request of an id, `freeIds` the blocks that were free before the step. */
  follow(step: ShadowStep, requestOf: (requestId: string) => Request, freeIds: ReadonlySet<number>): void {
    const { newRows, scheduled } = step.output;
    const writtenIds = new Set<number>();
    scheduled.forEach((entry, i) => {
      const request = requestOf(entry.requestId);
      const isNew = newRows.some(({ row }) => row === entry.row);
      const life = isNew ? this.#admit(request, entry) : this.lifeOf(request)!;
      const numHitBlocks = isNew ? life.numComputedTokens / this.#options.geometry.blockSize : 0;
      const hitIds = this.#takeBlocks(life, entry, numHitBlocks);
      const otherLives = [...this.#lives.values()].filter((other) => other !== life);
      countHit(this.#events, { blockIds: hitIds, writtenIds, freeIds, otherLives });
      if (hitIds.length > 0 && request.numPreemptions > 0) this.#events.count("a preempted request resumes with a hit");
      life.numComputedTokens += entry.numTokens;
      life.inFlight.push(entry);
      this.#cache.publish(life, request.numTokens);
      for (const blockId of step.named[i].writtenIds) writtenIds.add(blockId);
    });
  }

  /** A step comes back, after the scheduler took it in. Gives the entries that count: their life has not ended before. */
  process({ scheduled }: SchedulerOutput, { sampled }: StepResult) {
    const samples = sampled.values();
    const current = scheduled.flatMap((entry) => {
      const life = this.#lives.get(entry.row)!;
      assert(life.inFlight.shift() === entry, "steps are processed out of order");
      const sample = entry.samples ? samples.next().value! : null;
      if (life.end) this.#events.count(`a late output: request ${life.end}`);
      return life.end ? [] : [{ life, sample }];
    });
    this.#forgetDone();
    return current;
  }

  publish(life: Life, numTokens: number): void {
    this.#cache.publish(life, numTokens);
  }

  /** What the life has written is not to be believed. */
  evict(life: Life): void {
    this.#cache.forget(life.heldBlockIds);
  }

  #admit(request: Request, { row, startPosition }: ScheduledRequest): Life {
    const { requestId, usePrefixCache, numTokens, numPreemptions, numCachedTokens } = request;
    const { geometry } = this.#options;
    const usesCache = this.#options.usePrefixCache && usePrefixCache;
    const life = new Life(row, requestId, this.#expectedOf(request), usesCache, geometry.groups.length);
    const numHitBlocks = this.#cache.longestHit(life, numTokens);
    life.beginWithHit(numHitBlocks, geometry.blockSize);
    geometry.groups.forEach((_, group) => {
      life.firstHeld[group] = this.#cache.firstSeen(numHitBlocks, group);
    });
    const hitTokens = life.numComputedTokens;
    assert(startPosition === hitTokens, () => `${requestId} begins at ${startPosition}, its hit ends at ${hitTokens}`);
    assert(
      numPreemptions > 0 || numCachedTokens === hitTokens,
      () => `${requestId} has ${numCachedTokens} cached tokens`,
    );
    this.#lives.set(row, life);
    return life;
  }

  /** The first entries must be the cached blocks, whose ids it gives; the others are new. */
  #takeBlocks(life: Life, { blockTableUpdates }: ScheduledRequest, numHitBlocks: number): number[] {
    const hitIds: number[] = [];
    for (const { group, firstIndex, blockIds } of blockTableUpdates) {
      blockIds.forEach((blockId, i) => {
        const index = firstIndex + i;
        life.blockTables[group][index] = blockId;
        const isNew = index >= numHitBlocks;
        assert(isNew || blockId === this.#cache.blockAt(life, group, index), () => `block ${blockId} is no hit`);
        if (isNew) this.#cache.handOut(blockId);
        else hitIds.push(blockId);
      });
    }
    return hitIds;
  }

  #forgetDone(): void {
    for (const [row, { end, inFlight }] of this.#lives) if (end && inFlight.length === 0) this.#lives.delete(row);
  }
}
