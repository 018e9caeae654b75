import { BLOCK_SIZE } from "../kv/geometry";
import type { KvStats, KvTier, PrefetchResult, TokensByTier } from "../protocol/kv-messages";
import type { EngineInit } from "../protocol/messages";
import { maxDifference } from "./differences";
import { type Answer, numBlocksLoaded, OffloadRig, prefetch, type RigOptions } from "./offload-rig";
import { TierOracle, type TierTokens } from "./tier-oracle";

/** A request of `revisit`. */
export interface Visit {
  readonly found: TierTokens;
  readonly predicted: TierTokens;
  readonly tokenIds: readonly number[];
  /** Of an engine without any cache: those before the first whose two best logits are too close to tell apart. */
  readonly certainIds: readonly number[];
  /** Largest difference of a logit at the last prompt position. */
  readonly logitError: number;
}

export interface RevisitReport {
  readonly firstVisits: readonly Visit[];
  readonly laterVisits: readonly Visit[];
  /** Hits and stores of blocks that hold something else, in words. */
  readonly problems: readonly string[];
  /** Blocks that the prompts fill together, and those of the pool. */
  readonly numPromptBlocks: number;
  readonly numPoolBlocks: number;
  readonly numHostEvictions: number;
}

export interface OnePrefixReport {
  readonly alone: readonly (readonly number[])[];
  readonly together: readonly (readonly number[])[];
  /** Of those that came together. */
  readonly found: readonly (TokensByTier | null)[];
  readonly numLoads: number;
  readonly bytesLoaded: number;
  readonly numDeferrals: number;
  /** Of all groups, what the prefix's last query sees. */
  readonly prefixBytes: number;
}

export interface KvCallsReport {
  readonly prefetches: readonly TokensByTier[];
  readonly found: readonly (TokensByTier | null)[];
  readonly outcomes: readonly (readonly number[])[];
  readonly stats: KvStats;
}

/** Scenarios of what is found on which tier. They run the same in Node and in a worker of a browser; all that comes out is plain data. */
export class OffloadScenarios {
  readonly #rig: OffloadRig;

  private constructor(rig: OffloadRig) {
    this.#rig = rig;
  }

  static async open(gpu: GPU, init: EngineInit): Promise<OffloadScenarios> {
    return OffloadScenarios.over(await OffloadRig.open(gpu, init));
  }

  static over(rig: OffloadRig): OffloadScenarios {
    return new OffloadScenarios(rig);
  }

  /** Visits the prompts one after the other, then again in each of `orders`; what each visit finds is predicted before it. */
  async revisit(
    prompts: readonly (readonly number[])[],
    orders: readonly (readonly number[])[],
    { maxTokens, minGap }: { readonly maxTokens: number; readonly minGap: number },
    options: RigOptions,
  ): Promise<RevisitReport> {
    const plain = this.#rig.engine({ ...options, usePrefixCache: false });
    const expected: Answer[] = [];
    for (const prompt of prompts) expected.push(await plain.ask(prompt, maxTokens));
    await plain.rest();

    const rig = this.#rig.engine(options);
    const oracle = new TierOracle(this.#geometry);
    const problems: string[] = [];
    const visit = async (index: number): Promise<Visit> => {
      const predicted = oracle.predict(prompts[index]);
      const numStepsBefore = rig.steps.length;
      const { tokenIds, found, logits } = await rig.ask(prompts[index], maxTokens);
      await rig.rest();
      const steps = rig.steps.slice(numStepsBefore);
      problems.push(...oracle.follow(steps, [...prompts[index], ...tokenIds]));
      return {
        found: { gpu: found?.gpu ?? -1, host: found?.host ?? -1, numBlocksLoaded: numBlocksLoaded(steps) },
        predicted,
        tokenIds,
        certainIds: certainIds(expected[index], minGap),
        logitError: maxDifference(logits[0], expected[index].logits[0]),
      };
    };
    const visitAll = async (order: Iterable<number>) => {
      const visits: Visit[] = [];
      for (const index of order) visits.push(await visit(index));
      return visits;
    };
    return {
      firstVisits: await visitAll(prompts.keys()),
      laterVisits: await visitAll(orders.flat()),
      problems,
      numPromptBlocks: prompts.reduce((sum, { length }) => sum + this.#numFullBlocks(length), 0),
      numPoolBlocks: rig.scheduler.numUsableBlocks,
      numHostEvictions: rig.engine.kvStats().host?.numEvictions ?? 0,
    };
  }

  /** A prefix is in RAM and not on the GPU when several requests come at once, each with ids of its own behind it. */
  async onePrefix(
    prefix: readonly number[],
    suffixes: readonly (readonly number[])[],
    maxTokens: number,
    options: RigOptions,
  ): Promise<OnePrefixReport> {
    const prompts = suffixes.map((suffix) => [...prefix, ...suffix]);
    const plain = this.#rig.engine({ ...options, usePrefixCache: false });
    const alone: (readonly number[])[] = [];
    for (const prompt of prompts) alone.push((await plain.ask(prompt, maxTokens)).tokenIds);
    await plain.rest();

    const rig = this.#rig.engine(options);
    await rig.ask(prefix, 1);
    await rig.rest();
    rig.scheduler.resetPrefixCache();
    const answers = await Promise.all(prompts.map((prompt) => rig.ask(prompt, maxTokens)));
    await rig.rest();
    const { loads, deferrals } = rig.engine.kvStats();
    return {
      alone,
      together: answers.map(({ tokenIds }) => tokenIds),
      found: answers.map(({ found }) => found),
      numLoads: loads.numStarted,
      bytesLoaded: loads.bytes,
      numDeferrals: deferrals.loading,
      prefixBytes: this.#numBlocksSeen(prefix.length / BLOCK_SIZE) * this.#geometry.pageBytes,
    };
  }

  /** `engine.kv` around four requests with one prompt. */
  async kvCalls(promptIds: readonly number[], maxTokens: number): Promise<KvCallsReport> {
    const rig = this.#rig.engine();
    const answers: Answer[] = [];
    const prefetches: PrefetchResult[] = [];
    const ask = async () => {
      answers.push(await rig.ask(promptIds, maxTokens));
      await rig.rest();
    };
    const bring = async () => prefetches.push(await prefetch(rig, promptIds));
    const clear = (...tiers: KvTier[]) => rig.engine.kvClear(tiers);
    await bring(); // Nothing is anywhere.
    await ask();
    await bring(); // All is on the GPU.
    await clear("gpu");
    await bring(); // It comes from RAM,
    await bring(); // and stays.
    await ask();
    await clear("gpu");
    await ask();
    await clear("gpu", "host");
    await bring(); // Nothing is left.
    await ask();
    return {
      prefetches: prefetches.map(({ tokens }) => tokens),
      found: answers.map(({ found }) => found),
      outcomes: answers.map(({ tokenIds }) => tokenIds),
      stats: rig.engine.kvStats(),
    };
  }

  dispose(): void {
    this.#rig.dispose();
  }

  get #geometry() {
    return this.#rig.parts.geometry;
  }

  #numFullBlocks(numTokens: number): number {
    return this.#geometry.groups.length * Math.floor(numTokens / BLOCK_SIZE);
  }

  /** Blocks before a boundary that the query behind it sees, over all groups. */
  #numBlocksSeen(numBlocks: number): number {
    const numSeen = ({ window }: { readonly window: number | null }) =>
      window === null ? numBlocks : Math.min(numBlocks, Math.ceil((window - 1) / BLOCK_SIZE));
    return this.#geometry.groups.reduce((sum, group) => sum + numSeen(group), 0);
  }
}

function certainIds({ tokenIds, logits }: Answer, minGap: number): readonly number[] {
  const uncertain = logits.findIndex((row) => {
    const [top, second] = row.toSorted().subarray(-2).reverse();
    return top - second < minGap;
  });
  return uncertain < 0 ? tokenIds : tokenIds.slice(0, uncertain);
}
