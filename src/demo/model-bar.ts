import { html, type TemplateResult } from "lit";
import type { EngineInfo } from "../index";
import { adapterName } from "./adapter-name";
import { chosenName, type ModelChoice } from "./chat-state";
import { formatInteger, formatParameters } from "./format";

/** One quiet line: which model answers, how large it is, how full its context is, and what it runs on. */
export function modelBar(choice: ModelChoice, info: EngineInfo, numUsedTokens: number | null): TemplateResult {
  const size = formatInteger(info.maxModelLen);
  const context =
    numUsedTokens === null ? `${size} tokens of context` : `${formatInteger(numUsedTokens)} of ${size} tokens used`;
  return html`<ul class="facts model-bar" aria-label="Model">
    <li class="model-name">${chosenName(choice) ?? info.modelId}</li>
    <li>${formatParameters(info.numParameters)} parameters${info.quantization === "none" ? "" : `, ${info.quantization}`}</li>
    <li>${context}</li>
    <li>${adapterName(info.adapter)}</li>
  </ul>`;
}
