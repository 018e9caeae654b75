import type { ModelRunner } from "../engine/model-runner";
import type { SampledToken, SchedulerOutput, StepResult } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";

/** A data plane of plain values: each request's ids are what the script says, whatever the prompt was. */
export class ScriptedRunner implements ModelRunner {
  readonly steps: SchedulerOutput[] = [];
  numDisposals = 0;
  readonly #script: Readonly<Record<string, readonly number[]>>;
  readonly #numSampled = new Map<string, number>();
  #held: (() => void)[] | null = null;

  /** `script`: ids by request id; a missing id (past the end) is not finite. */
  constructor(script: Readonly<Record<string, readonly number[]>>) {
    this.#script = script;
  }

  submit(output: SchedulerOutput): Promise<StepResult> {
    this.steps.push(output);
    const sampled = output.scheduled.filter((entry) => entry.samples).map(({ requestId }) => this.#sample(requestId));
    const result = { stepIndex: output.stepIndex, sampled };
    const held = this.#held;
    return held ? new Promise((resolve) => held.push(() => resolve(result))) : Promise.resolve(result);
  }

  dispose(): void {
    this.numDisposals++;
  }

  /** From now on steps stay in flight until `release`. */
  hold(): void {
    this.#held = [];
  }

  /** Lets the steps in flight land, and all later ones. */
  release(): void {
    assert(this.#held, "nothing is held");
    const held = this.#held;
    this.#held = null;
    for (const land of held) land();
  }

  #sample(requestId: string): SampledToken {
    const index = this.#numSampled.get(requestId) ?? 0;
    this.#numSampled.set(requestId, index + 1);
    const tokenId = this.#script[requestId]?.[index];
    return { requestId, tokenId: tokenId ?? 0, finite: tokenId !== undefined };
  }
}
