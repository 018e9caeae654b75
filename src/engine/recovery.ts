import { isDeviceLoss } from "../gpu/device-health";
import type { SamplingParams } from "../sampling/sampling-params";
import { CairnError } from "../util/errors";
import type { LiveRequest } from "./engine-records";
import type { ModelRunner } from "./model-runner";

/** A loss that is longer ago counts no more. */
const LOSS_WINDOW_MS = 5 * 60_000;

/**
 * A runner over another device, with the sizes of the first one. Transfers of this epoch are its own. Rejects as a load does, with
 * `integrity` where the model's files have changed since, and with `aborted`; it holds nothing then.
 */
export type RebuildRunner = (epoch: number, signal: AbortSignal) => Promise<ModelRunner>;

export interface RecoveryParts {
  /** Over the first device. */
  readonly runner: ModelRunner;
  readonly rebuildRunner: RebuildRunner;
  /** So many within five minutes end the engine. */
  readonly maxDeviceLosses: number;
}

/** The engine, as its recovery sees it. */
export interface RecoveringEngine {
  now(): number;
  /** Requests whose last event was not sent yet. */
  live(): Iterable<LiveRequest>;
  /** The runner is there, and ready for all that live. */
  onRebuilt(): void;
  /** The runner can never be ready for this request. */
  onRefused(live: LiveRequest, error: unknown): void;
  /** There will be no runner. */
  onFailed(error: unknown): void;
}

/**
 * The engine's runner, over the losses of its device:
 *
 *     ready --begin--> rebuilding ----------------------> ready, with the next epoch
 *                        ^   |  '-- lost again, too often, or refused --> failed
 *                        '---' lost again
 *
 * A loss is noticed by the step that meets it. So an engine that is idle rebuilds when it is next asked for something: devices
 * are lost when a machine sleeps or its driver is replaced, and the memory of a page that nobody looks at is better left free.
 */
export class Recovery {
  readonly #parts: RecoveryParts;
  readonly #engine: RecoveringEngine;
  readonly #disposing = new AbortController();
  /** Null while none is made. */
  #runner: ModelRunner | null;
  #isReady = true;
  #epoch = 0;
  /** Times of all losses. */
  readonly #lossesMs: number[] = [];

  constructor(parts: RecoveryParts, engine: RecoveringEngine) {
    this.#parts = parts;
    this.#runner = parts.runner;
    this.#engine = engine;
  }

  /** Null while it is rebuilt. */
  get runner(): ModelRunner | null {
    return this.#isReady ? this.#runner : null;
  }

  /** Of the device that there is, or will be. */
  get epoch(): number {
    return this.#epoch;
  }

  get numLosses(): number {
    return this.#lossesMs.length;
  }

  /**
   * See ModelRunner; null also while the runner is rebuilt, for it is then made ready for all that live. What a lost device has
   * refused is made good in the same way: the request meets the loss in its first step.
   */
  prepare(sampling: SamplingParams): Promise<void> | null {
    const { runner } = this;
    const preparing = runner?.prepare?.(sampling)?.catch((error) => {
      if (runner === this.#runner && !isDeviceLoss(error)) throw error;
    });
    return preparing ?? null;
  }

  /** The device failed, and its runner is no more: there will be another, of the next epoch, or the engine fails. */
  begin(error: unknown): void {
    this.#epoch += 1;
    this.#start(error);
  }

  /** Frees the runner, now or when it is made. */
  dispose(): void {
    this.#disposing.abort();
    this.#discardRunner();
  }

  async #rebuild(): Promise<void> {
    const { signal } = this.#disposing;
    try {
      const runner = await this.#parts.rebuildRunner(this.#epoch, signal);
      this.#runner = runner;
      if (signal.aborted) return this.#discardRunner();
      // Others may have come meanwhile.
      for (let waits = this.#prepareAll(runner); waits.length > 0; waits = this.#prepareAll(runner)) {
        await Promise.all(waits);
      }
      this.#isReady = true;
      this.#engine.onRebuilt();
    } catch (error) {
      if (!signal.aborted) this.#start(error);
    }
  }

  /** What the runner does yet to be ready for those that live now. */
  #prepareAll(runner: ModelRunner): Promise<void>[] {
    return [...this.#engine.live()].flatMap((live) => {
      const preparing = runner.prepare?.(live.request.sampling)?.catch((error) => {
        if (isDeviceLoss(error)) throw error;
        this.#engine.onRefused(live, error);
      });
      return preparing ?? [];
    });
  }

  #start(error: unknown): void {
    this.#discardRunner();
    if (!isDeviceLoss(error)) {
      this.#engine.onFailed(error);
      return;
    }
    const nowMs = this.#engine.now();
    this.#lossesMs.push(nowMs);
    const numLosses = this.#lossesMs.filter((lossMs) => nowMs - lossMs < LOSS_WINDOW_MS).length;
    if (numLosses < this.#parts.maxDeviceLosses) void this.#rebuild();
    else this.#engine.onFailed(new CairnError("device_lost", error.message, { ...error.data, numLosses }));
  }

  #discardRunner(): void {
    this.#isReady = false;
    this.#runner?.dispose();
    this.#runner = null;
  }
}
