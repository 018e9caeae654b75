import type { CairnError, MemoryPlan } from "../index";
import { formatBytes, formatInteger } from "./format";
import type { Quantization } from "./remote-model";

/** Whether a model runs on this device, in a word and a sentence. */
export interface Verdict {
  readonly fit: "fits" | "shorter" | "too-large";
  readonly headline: string;
  readonly advice: string;
}

/** Of a model that can run. The context is short where memory limits it, not where the engine's default does. */
export function verdictOf(plan: MemoryPlan, quantization: Quantization): Verdict {
  const { maxModelLen, longestModelLen, maxPositionEmbeddings } = plan;
  const context = `${formatInteger(maxModelLen)} tokens`;
  if (longestModelLen > maxModelLen || maxModelLen >= maxPositionEmbeddings) {
    return { fit: "fits", headline: "It fits", advice: `Prompts and answers have ${context} of context.` };
  }
  const advice = `This device has memory for ${context} of the model's ${formatInteger(maxPositionEmbeddings)}.`;
  return { fit: "shorter", headline: "It fits, with a shorter context", advice: `${advice}${fewerBits(quantization)}` };
}

/** Of a model that was refused for its size; null where something else is wrong. */
export function refusalOf({ code, data, message }: CairnError, quantization: Quantization): Verdict | null {
  if (code !== "out_of_memory" && code !== "device_limit") return null;
  const { neededBytes, availableBytes } = data;
  const numbers =
    typeof neededBytes === "number" && typeof availableBytes === "number"
      ? `It needs ${formatBytes(neededBytes)} of GPU memory, and this device allows ${formatBytes(availableBytes)}.`
      : message;
  const advice = fewerBits(quantization) || " A smaller model is the way.";
  return { fit: "too-large", headline: "It does not fit", advice: numbers + advice };
}

function fewerBits(quantization: Quantization): string {
  return quantization === "q4_0" ? "" : " Fewer bits for each weight leave more room.";
}
