import type { GoldenJob } from "./golden-job";
import { topGap } from "./goldens";
import type { ReferenceModel } from "./reference-model";

/** What the float64 reference makes of a prompt: its logits, and `numSteps` greedy ids with their gaps. */
export function referenceJob(
  name: string,
  reference: ReferenceModel,
  promptIds: readonly number[],
  numSteps: number,
): GoldenJob {
  let logits = reference.forward(promptIds)[promptIds.length - 1];
  const topLogits = Array.from(logits, (logit, id) => [id, logit] as const);
  const greedyIds: number[] = [];
  const stepGaps: number[] = [];
  for (let step = 0; step < numSteps; step++) {
    greedyIds.push(logits.indexOf(Math.max(...logits)));
    stepGaps.push(topGap(logits));
    logits = reference.append(greedyIds[step]);
  }
  return { name, promptIds, greedyIds, topLogits, stepGaps };
}
