import type { DeltaOrDone, Generation, StartedEvent } from "./generation";

/** The events of all choices of an answer. */
export interface ChoiceSource {
  /** Aborting it ends them all; after the end it has no effect. */
  readonly controller: AbortController;
  /** Resolves when the engine accepted every choice, with what it said of each. Comes before `next`. */
  start(): Promise<readonly StartedEvent[]>;
  /** The next event of any choice; the last `done` counts for all. Rejects with what ended one of them, and so all. */
  next(): Promise<{ readonly index: number; readonly event: DeltaOrDone }>;
}

/** One generation as the only choice. */
export function onlyChoice(generation: Generation): ChoiceSource {
  return {
    controller: generation.controller,
    start: async () => [await generation.started()],
    next: async () => ({ index: 0, event: await generation.next() }),
  };
}
