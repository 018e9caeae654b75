import type { KvKey } from "../kv/chunk";
import type { EngineInit } from "../protocol/messages";
import type { StepEvent } from "../runner/step-trace";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";
import { maxOf } from "./differences";
import type { GoldenJob } from "./golden-job";
import { OffloadRig, type RigEngine } from "./offload-rig";
import { relativeError } from "./offload-trials";

/** When the device is lost. */
export const LOSS_MOMENTS = ["load", "store", "prefill", "decode", "between"] as const;
export type LossMoment = (typeof LOSS_MOMENTS)[number];

export interface LossReport {
  /** Of the requests that lived then, and of one that came after. */
  readonly outcomes: readonly (readonly number[])[];
  readonly ends: readonly string[];
  /** Chunks that the host tier has now, and the largest error of a number in them. */
  readonly numChunks: number;
  readonly hostError: number;
  /** So far. */
  readonly numLosses: number;
}

/** Of each job. */
export const NUM_LOSS_TOKENS = 24;

/**
 * One engine that loses its device again and again, with KV in f32 and its tiers emptied between two trials. Each lets the device
 * be lost at its moment, and looks at what becomes of the streams and of RAM.
 */
export class LossTrials {
  readonly #rig: OffloadRig;
  readonly #engine: RigEngine;
  readonly #jobs: readonly GoldenJob[];
  /** Chunks of all jobs, of an engine whose device was never lost. */
  readonly #truth: ReadonlyMap<KvKey, Uint8Array<ArrayBuffer>>;

  static async open(gpu: GPU, init: EngineInit, jobs: readonly GoldenJob[]): Promise<LossTrials> {
    const rig = await OffloadRig.open(gpu, { ...init, kvDtype: "f32" });
    const undisturbed = rig.engine({ maxInFlightSteps: 1 });
    await Promise.all(jobs.map(({ promptIds }) => undisturbed.ask(promptIds, NUM_LOSS_TOKENS)));
    await undisturbed.rest();
    return new LossTrials(rig, jobs, rig.storedBytes(undisturbed.steps));
  }

  private constructor(rig: OffloadRig, jobs: readonly GoldenJob[], truth: ReadonlyMap<KvKey, Uint8Array<ArrayBuffer>>) {
    const maxTransferBytesPerStep = rig.parts.geometry.pageBytes;
    this.#rig = rig;
    this.#jobs = jobs;
    this.#truth = truth;
    this.#engine = rig.engine({
      maxPrefillChunkTokens: 16,
      config: { maxDeviceLosses: Number.MAX_SAFE_INTEGER, maxTransferBytesPerStep },
    });
  }

  /** Devices that are there, and bytes in their buffers. */
  get held(): OffloadRig["held"] {
    return this.#rig.held;
  }

  /** `numBefore`, 0 or 1: of the steps that are such a moment, the device outlives so many. It is lost when the step is submitted, or when it has landed. */
  async lose(moment: LossMoment, numBefore: number, when: StepEvent["kind"]): Promise<LossReport> {
    const [first, ...others] = this.#jobs;
    const { engine, scheduler } = this.#engine;
    await engine.kvClear(["gpu", "host"]);
    if (moment === "load" || moment === "between") {
      await this.#ask(first);
      await this.#engine.rest();
    }
    if (moment === "load") scheduler.resetPrefixCache();
    this.#rig.mapDelayMs = moment === "store" ? 20 : 0;
    const { numDeviceLosses } = engine.kvStats();
    if (moment === "between") this.#rig.loseDevice();
    else this.#arm(moment, numBefore, when);
    const answers = await Promise.all([first, ...others].map((job) => this.#ask(job)));
    assert(
      engine.kvStats().numDeviceLosses === numDeviceLosses + 1,
      () => `no ${moment}, or the device was lost twice`,
    );
    await this.#engine.rest();
    this.#rig.mapDelayMs = 0;
    answers.push(await this.#ask(first));
    await this.#engine.rest();
    const chunks = [...this.#truth].flatMap(([key, bytes]) => {
      const found = this.#engine.chunkInHost(key);
      return found ? [relativeError(found.slice(), bytes)] : [];
    });
    return {
      outcomes: answers.map(({ tokenIds }) => tokenIds),
      ends: answers.map(({ end }) => end),
      numChunks: chunks.length,
      hostError: maxOf(chunks),
      numLosses: engine.kvStats().numDeviceLosses,
    };
  }

  dispose(): void {
    this.#engine.engine.dispose();
    this.#rig.dispose();
  }

  #ask({ promptIds }: GoldenJob) {
    return this.#engine.ask(promptIds, NUM_LOSS_TOKENS);
  }

  #arm(moment: Exclude<LossMoment, "between">, numBefore: number, when: StepEvent["kind"]): void {
    const steps = this.#engine.steps;
    let numLeft = numBefore;
    this.#rig.onStep = ({ kind, stepIndex }) => {
      if (kind !== when) return;
      const output = steps.findLast((step) => step.stepIndex === stepIndex);
      if (!output || !isMoment[moment](output) || numLeft-- > 0) return;
      this.#rig.onStep = () => {};
      this.#rig.loseDevice();
    };
  }
}

const isMoment: Readonly<Record<Exclude<LossMoment, "between">, (output: SchedulerOutput) => boolean>> = {
  load: ({ transfers }) => transfers.loads.length > 0,
  store: ({ transfers }) => transfers.stores.length > 0,
  prefill: ({ scheduled }) => scheduled.some(({ numTokens, samples }) => numTokens > 1 && !samples),
  decode: ({ scheduled }) => scheduled.some(({ numTokens, startPosition }) => numTokens === 1 && startPosition > 0),
};
