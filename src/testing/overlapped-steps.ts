import type { StepEvent } from "../runner/step-trace";

/** The steps whose next one was submitted before their own ids were read back. */
export function overlappedSteps(events: readonly StepEvent[]): number[] {
  const places = new Map(events.map(({ kind, stepIndex }, place) => [`${kind} ${stepIndex}`, place]));
  const placeOf = (kind: StepEvent["kind"], stepIndex: number) => places.get(`${kind} ${stepIndex}`) ?? Infinity;
  return events
    .filter(({ kind }) => kind === "landed")
    .map(({ stepIndex }) => stepIndex)
    .filter((step) => placeOf("submitted", step + 1) < placeOf("landed", step));
}
