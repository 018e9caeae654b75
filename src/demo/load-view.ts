import { html, nothing, type TemplateResult } from "lit";
import type { LoadProgress } from "../index";
import type { ModelChoice } from "./chat-state";
import { formatBytes } from "./format";
import { cairnMark } from "./icons";

const PHASES: Readonly<Record<LoadProgress["phase"], { readonly label: string; readonly numStones: number }>> = {
  config: { label: "Reading the model's configuration", numStones: 0 },
  device: { label: "Asking the browser for a GPU", numStones: 0 },
  download: { label: "Downloading the model", numStones: 2 },
  weights: { label: "Loading the weights", numStones: 1 },
  compile: { label: "Compiling shaders", numStones: 2 },
  ready: { label: "Ready", numStones: 3 },
};

/** The page while a model loads: one stone of the mark for each part that is done. */
export function loadView(choice: ModelChoice, progress: LoadProgress | null): TemplateResult {
  const phase = PHASES[progress?.phase ?? "config"];
  const fraction = progress?.phase === "weights" && progress.total > 0 ? progress.loaded / progress.total : null;
  return html`<section class="stage load-view" aria-labelledby="load-title">
    ${cairnMark(phase.numStones)}
    <h2 id="load-title">${choice.kind === "embedded" ? "Loading the model" : `Loading ${choice.name}`}</h2>
    <p class="load-phase" role="status">${phase.label}</p>
    <progress aria-label="Loading" max="1" .value=${fraction ?? 0} ?data-busy=${fraction === null}></progress>
    <p class="load-numbers">
      ${fraction === null ? nothing : html`<span>${formatBytes(progress!.loaded)} of ${formatBytes(progress!.total)}</span><span>${Math.floor(fraction * 100)} %</span>`}
    </p>
  </section>`;
}
