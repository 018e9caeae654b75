import type { ModelRunner, SubmittedStep } from "../engine/model-runner";
import type { SampledToken, ScheduledRequest, SchedulerOutput, StepResult } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";

/** A data plane of plain values: each request's ids are what the script says, whatever the prompt was. An id's logprob is minus the id. */
export class ScriptedRunner implements ModelRunner {
  readonly steps: SchedulerOutput[] = [];
  numDisposals = 0;
  readonly #script: Readonly<Record<string, readonly number[]>>;
  /** Where each request's output begins: the first position that was sampled for it. */
  readonly #firstPositions = new Map<string, number>();
  /** Of each request that asked for logprobs, how many. */
  readonly #numLogprobs = new Map<string, number>();
  #held: (() => void)[] | null = null;

  /** `script`: ids by request id; a missing id (past the end) is not finite. */
  constructor(script: Readonly<Record<string, readonly number[]>>) {
    this.#script = script;
  }

  submit(output: SchedulerOutput): SubmittedStep {
    this.steps.push(output);
    for (const { requestId, sampling } of output.newRows) {
      if (sampling.numLogprobs !== null) this.#numLogprobs.set(requestId, sampling.numLogprobs);
    }
    const sampled = output.scheduled.filter((entry) => entry.samples).map((entry) => this.#sample(entry));
    const result = { stepIndex: output.stepIndex, sampled };
    const held = this.#held;
    const landed = held
      ? new Promise<StepResult>((resolve) => held.push(() => resolve(result)))
      : Promise.resolve(result);
    return { landed, transfers: [] };
  }

  dispose(): void {
    this.numDisposals++;
  }

  /** From now on steps stay in flight until they are released. */
  hold(): void {
    this.#held = [];
  }

  /** Lets the oldest step in flight land; the others, and later ones, stay. */
  releaseOne(): void {
    const land = this.#held?.shift();
    assert(land, "no step is held");
    land();
  }

  /** Lets the steps in flight land, and all later ones. */
  release(): void {
    assert(this.#held, "nothing is held");
    const held = this.#held;
    this.#held = null;
    for (const land of held) land();
  }

  /** The steps in flight never land. */
  drop(): void {
    if (this.#held) this.#held = [];
  }

  /** By position, so that a request that computes its tokens again samples the same ids again. */
  #sample({ requestId, startPosition, numTokens }: ScheduledRequest): SampledToken {
    const position = startPosition + numTokens;
    const firstPosition = this.#firstPositions.get(requestId) ?? position;
    this.#firstPositions.set(requestId, firstPosition);
    const tokenId = this.#script[requestId]?.[position - firstPosition];
    const sampled = { requestId, tokenId: tokenId ?? 0, finite: tokenId !== undefined };
    const numLogprobs = this.#numLogprobs.get(requestId);
    if (numLogprobs === undefined) return sampled;
    const top = Array.from({ length: numLogprobs }, (_, id) => [id, -id] as const);
    return { ...sampled, logprobs: { logprob: -sampled.tokenId, top } };
  }
}
