import type { ModelRunner, SubmittedStep } from "../engine/model-runner";
import type { RebuildRunner } from "../engine/recovery";
import type { TransferResult } from "../offload/transfer-job";
import type { SamplingParams } from "../sampling/sampling-params";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { assert, CairnError } from "../util/errors";
import { type Deferred, deferred } from "./deferred";
import type { ScriptedRunner } from "./scripted-runner";

export const deviceLoss = () => new CairnError("device_lost", "The GPU device was lost: gone", { reason: "unknown" });

/** A copy that the test ends: with all of its blocks, or none. */
export interface HeldTransfer {
  readonly kind: "store" | "load";
  readonly epoch: number;
  end(isDone: boolean): void;
}

/** A rebuild that the test ends. */
export interface HeldRebuild {
  readonly signal: AbortSignal;
  finish(): void;
  fail(error: unknown): void;
}

/** A device that a test can lose. What runs on it is the script of all devices. */
export class ScriptedDevice implements ModelRunner {
  readonly epoch: number;
  /** Of each step, by row. */
  readonly masks: ReadonlyMap<number, Uint32Array>[] = [];
  /** For requests with a presence penalty it has to get ready; what is asked of it while this is held is held. */
  readonly preparing: Deferred<void>[] = [];
  numSteps = 0;
  numDisposals = 0;
  readonly #devices: ScriptedDevices;
  readonly #losing = deferred<never>();
  #loss: CairnError | null = null;
  #isPrepared = false;

  constructor(devices: ScriptedDevices, epoch: number) {
    this.#devices = devices;
    this.epoch = epoch;
  }

  submit(output: SchedulerOutput, masks: ReadonlyMap<number, Uint32Array> = new Map()): SubmittedStep {
    const { stores, loads } = output.transfers;
    for (const { epoch } of [...stores, ...loads]) assert(epoch === this.epoch, "a job of another device");
    const results = [
      ...stores.map((job) => ({ kind: "store" as const, job, numBlocks: job.blockIds.length })),
      ...loads.map((job) => ({ kind: "load" as const, job, numBlocks: job.blocks.length })),
    ];
    const transfers = results.map(({ kind, job, numBlocks }) => this.#transfer(kind, { ...job, numBlocks }));
    if (this.#loss) return { landed: this.#losing.promise, transfers };
    for (const { sampling } of output.newRows) assert(this.#isReadyFor(sampling), "it is not ready for this request");
    this.numSteps += 1;
    this.masks.push(masks);
    const { landed } = this.#devices.script.submit(output);
    return { landed: Promise.race([landed, this.#losing.promise]), transfers };
  }

  prepare(sampling: SamplingParams): Promise<void> | null {
    if (this.#isReadyFor(sampling)) return null;
    const preparing = deferred();
    if (this.#devices.holdsPreparing) this.preparing.push(preparing);
    else preparing.resolve();
    return preparing.promise.then(() => {
      this.#isPrepared = true;
    });
  }

  /** Every step in flight rejects, and every later one; the copies under way stay so. */
  lose(): void {
    this.#loss = deviceLoss();
    this.#losing.reject(this.#loss);
    this.#devices.script.drop();
  }

  dispose(): void {
    this.numDisposals += 1;
    this.#losing.reject(new CairnError("disposed", "The engine was disposed."));
  }

  #isReadyFor({ presencePenalty }: SamplingParams): boolean {
    return this.#isPrepared || presencePenalty === 0;
  }

  #transfer(kind: HeldTransfer["kind"], { jobId, epoch, numBlocks }: TransferResult): Promise<TransferResult> {
    const ending = deferred<TransferResult>();
    const end = (isDone: boolean) => ending.resolve({ jobId, epoch, numBlocks: isDone ? numBlocks : 0 });
    if (this.#loss) end(false);
    else if (this.#devices.held.has(kind)) this.#devices.transfers.push({ kind, epoch, end });
    else end(true);
    return ending.promise;
  }
}

/** The devices of an engine, one after the other. */
export class ScriptedDevices {
  readonly script: ScriptedRunner;
  readonly made: ScriptedDevice[] = [];
  /** Copies of these kinds end when the test says so. */
  readonly held = new Set<HeldTransfer["kind"]>();
  readonly transfers: HeldTransfer[] = [];
  holdsPreparing = false;
  holdsRebuilds = false;
  readonly rebuilds: HeldRebuild[] = [];

  constructor(script: ScriptedRunner) {
    this.script = script;
    this.#make(0);
  }

  get current(): ScriptedDevice {
    return this.made[this.made.length - 1];
  }

  readonly rebuildRunner: RebuildRunner = (epoch, signal) => {
    const rebuild = deferred<ScriptedDevice>();
    const finish = () => rebuild.resolve(this.#make(epoch));
    if (this.holdsRebuilds) this.rebuilds.push({ signal, finish, fail: rebuild.reject });
    else finish();
    return rebuild.promise;
  };

  #make(epoch: number): ScriptedDevice {
    const device = new ScriptedDevice(this, epoch);
    this.made.push(device);
    return device;
  }
}
