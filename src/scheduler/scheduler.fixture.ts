import { afterEach } from "vitest";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { tokens } from "../kv/kv-request.fixture";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { Request, type RequestOptions } from "./request";
import type { RequestUpdate } from "./request-update";
import { Scheduler } from "./scheduler";
import type { SchedulerOptions } from "./scheduler-options";
import type { ScheduledRequest, SchedulerOutput, StepResult } from "./scheduler-output";

export { tokens };

/** Tokens in a block here: few, so that ids and positions can be followed by hand. */
const BLOCK_SIZE = 4;
export const EOS = 2;

/** For `describe.each`: a step is processed before the next is scheduled, or after it. */
export const MODES = [
  { name: "outputs at once", maxInFlightSteps: 1 },
  { name: "outputs one step late", maxInFlightSteps: 2 },
] as const;

export interface TestSchedulerOptions extends Partial<SchedulerOptions> {
  /** One for each layer; null is full attention. */
  readonly windows?: readonly (number | null)[];
}

const schedulers: Scheduler[] = [];

afterEach(() => {
  for (const scheduler of schedulers.splice(0)) scheduler.checkIntegrity();
});

/** 16 usable blocks of 4 tokens, one full group, unless told otherwise. It is checked after the test that made it. */
export function makeScheduler({ windows = [null], ...options }: TestSchedulerOptions = {}): Scheduler {
  const scheduler = new Scheduler({
    geometry: geometryWithWindows(windows, BLOCK_SIZE),
    numBlocks: 17,
    maxNumRunning: 4,
    maxNumBatchedTokens: 32,
    maxPrefillChunkTokens: null,
    maxModelLen: 100,
    maxInFlightSteps: 1,
    usePrefixCache: true,
    admissionWatermark: 0,
    ...options,
  });
  schedulers.push(scheduler);
  return scheduler;
}

/** Given a number of tokens, the prompt is one that no other request shares a block with. */
export function makeRequest(
  requestId: string,
  prompt: number | readonly number[],
  options: Partial<RequestOptions> = {},
): Request {
  const promptTokenIds = typeof prompt === "number" ? tokens(requestId.charCodeAt(0), prompt) : prompt;
  return new Request({
    requestId,
    promptTokenIds,
    sampling: NEUTRAL_SAMPLING,
    maxTokens: 4,
    eosTokenIds: [EOS],
    ...options,
  });
}

/** What the model gives a request at a position; null where its logits are not finite. */
export type Sampler = (requestId: string, position: number) => number | null;

const samplePosition: Sampler = (_, position) => 500 + position;

export function resultOf(output: SchedulerOutput, sample: Sampler = samplePosition): StepResult {
  const sampled = output.scheduled.flatMap(({ requestId, startPosition, numTokens, samples }) => {
    const tokenId = sample(requestId, startPosition + numTokens);
    return samples ? [{ requestId, tokenId: tokenId ?? 0, finite: tokenId !== null }] : [];
  });
  return deepFreeze({ stepIndex: output.stepIndex, sampled });
}

/**
 * An entry in words: `a@0 4..12 1:[5,6] samples` is request a on row 0, positions 4 to 11, its table's entries from 1 on
 * are blocks 5 and 6. `last`: its id is the row's last sampled one. `g1 `: of another group than 0.
 */
function describeEntry(entry: ScheduledRequest): string {
  const { requestId, row, startPosition, numTokens, blockTableUpdates } = entry;
  const source = entry.tokens.kind === "ids" ? [] : ["last"];
  const updates = blockTableUpdates.map(({ group, firstIndex, blockIds }) => {
    return `${group > 0 ? `g${group} ` : ""}${firstIndex}:[${blockIds}]`;
  });
  const positions = `${startPosition}..${startPosition + numTokens}`;
  return [`${requestId}@${row}`, positions, ...source, ...updates, ...(entry.samples ? ["samples"] : [])].join(" ");
}

export function describeStep(output: SchedulerOutput | null): string {
  return output?.scheduled.map(describeEntry).join(", ") ?? "";
}

/** An update in words: `a 507 length`. */
function describeUpdate({ requestId, newTokenIds, finishReason }: RequestUpdate): string {
  return [requestId, ...newTokenIds, ...(finishReason ? [finishReason] : [])].join(" ");
}

/** A step's entries, what the processed step brought, and the free queue afterwards. */
export type Turn = [step: string, updates: string, freeBlockIds: string];

/** Drives a scheduler as the engine does: a step is processed when `maxInFlightSteps` are in flight. */
export class Driver {
  readonly scheduler: Scheduler;
  readonly #numStepsLate: number;
  readonly #sample: Sampler;
  readonly #inFlight: { readonly output: SchedulerOutput; readonly result: StepResult }[] = [];

  constructor(maxInFlightSteps: number, options: TestSchedulerOptions = {}, sample: Sampler = samplePosition) {
    this.scheduler = makeScheduler({ maxInFlightSteps, ...options });
    this.#numStepsLate = maxInFlightSteps - 1;
    this.#sample = sample;
  }

  get freeBlockIds(): string {
    return this.scheduler.freeBlockIds.join();
  }

  /** Puts a request into the queue, see `makeRequest`. */
  add(requestId: string, prompt: number | readonly number[], options: Partial<RequestOptions> = {}): Request {
    const request = makeRequest(requestId, prompt, options);
    this.scheduler.addRequest(request);
    return request;
  }

  /** Schedules a step; processes the oldest if it has to, or if nothing could be scheduled. */
  turn(): Turn {
    const output = this.schedule();
    const isDue = this.#inFlight.length > (output ? this.#numStepsLate : 0);
    const updates = isDue ? this.process() : [];
    return [describeStep(output), updates.join(", "), this.freeBlockIds];
  }

  turns(numTurns: number): Turn[] {
    return Array.from({ length: numTurns }, () => this.turn());
  }

  /** Turns until nothing is left; fails after 200, for by then something is stuck. */
  run(): Turn[] {
    const turns: Turn[] = [];
    while (this.scheduler.hasUnfinished) {
      if (turns.length === 200) throw new Error("still unfinished after 200 turns");
      turns.push(this.turn());
    }
    return turns;
  }

  /** Half a turn: the step is in flight until `process`. */
  schedule(): SchedulerOutput | null {
    const output = this.scheduler.schedule();
    if (output) this.#inFlight.push({ output: deepFreeze(output), result: resultOf(output, this.#sample) });
    this.scheduler.checkIntegrity();
    return output;
  }

  /** Processes the oldest step in flight; what it brought. */
  process(): string[] {
    const { output, result } = this.#inFlight.shift()!;
    const updates = this.scheduler.update(output, result).map(describeUpdate);
    this.scheduler.checkIntegrity();
    return updates;
  }
}

/** A runner or an engine that changes what it was given, or a scheduler that changes what it gave, throws. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const field of Object.values(value)) deepFreeze(field);
  }
  return value;
}
