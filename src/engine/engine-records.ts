import type { TransferResult } from "../offload/transfer-job";
import type { KvTier, PrefetchResult } from "../protocol/kv-messages";
import type { GenerateEvent } from "../protocol/messages";
import type { Constraint } from "../sampling/grammar/grammars";
import type { Request } from "../scheduler/request";
import type { SchedulerOutput, StepResult } from "../scheduler/scheduler-output";
import type { OutputProcessor } from "./output-processor";

export type GenerateSink = (event: GenerateEvent) => void;

/** A request whose last event was not sent yet. */
export interface LiveRequest {
  readonly request: Request;
  readonly sink: GenerateSink;
  readonly output: OutputProcessor;
  /** Its text begins within the model's thoughts. */
  readonly isThinking: boolean;
  /** Null where the text may be anything, and until it is made. */
  constraint: Constraint | null;
}

/** Somebody who waits for the end of a prefetch. */
export interface Prefetch {
  resolve(result: PrefetchResult): void;
  reject(error: unknown): void;
}

/** What the engine was asked for, until the next step obeys. */
export type Command =
  | { readonly kind: "add"; readonly live: LiveRequest }
  | { readonly kind: "prefetch"; readonly request: Request; readonly prefetch: Prefetch }
  | { readonly kind: "clear"; readonly tiers: readonly KvTier[]; done(): void }
  | { readonly kind: "flush"; done(): void }
  | { readonly kind: "abort"; readonly requestId: string };

/** Something that came back: a step, a copy, or what a request waits for. `epoch`: of the device that it was submitted to. */
export type Completion =
  | { readonly kind: "step"; readonly epoch: number; readonly output: SchedulerOutput; readonly result: StepResult }
  | { readonly kind: "transfer"; readonly epoch: number; readonly result: TransferResult }
  /** A step will not land, nor those after it. */
  | { readonly kind: "failed"; readonly epoch: number; readonly error: unknown }
  /** A request may begin, or what may come next in its text is known; or neither can be. */
  | { readonly kind: "ready"; readonly live: LiveRequest; readonly error: unknown };
