import { html, nothing, type TemplateResult } from "lit";
import type { LoadProgress } from "../index";
import { chosenName, type ModelChoice } from "./chat-state";
import { formatBytes, formatTimeLeft } from "./format";
import { cairnMark } from "./icons";
import { hostOf } from "./remote-model";

export interface DownloadCommands {
  readonly pause: () => void;
  readonly resume: () => void;
  readonly chooseModel: () => void;
}

const PHASES: Readonly<Record<LoadProgress["phase"], { readonly label: string; readonly numStones: number }>> = {
  config: { label: "Reading the model's configuration", numStones: 0 },
  device: { label: "Asking the browser for a GPU", numStones: 0 },
  download: { label: "Downloading the model", numStones: 1 },
  weights: { label: "Loading the weights", numStones: 1 },
  compile: { label: "Compiling shaders", numStones: 2 },
  ready: { label: "Ready", numStones: 3 },
};

/** The page while a model loads: one stone of the mark for each part that is done. */
export function loadView(
  choice: ModelChoice,
  progress: LoadProgress | null,
  { pause }: DownloadCommands,
): TemplateResult {
  const phase = PHASES[progress?.phase ?? "config"];
  const isDownload = progress?.phase === "download";
  const label = isDownload && choice.kind === "remote" ? `Downloading from ${hostOf(choice.remote)}` : phase.label;
  const name = chosenName(choice);
  return html`<section class="stage load-view" aria-labelledby="load-title">
    ${cairnMark(phase.numStones)}
    <h2 id="load-title">${name === null ? "Loading the model" : `Loading ${name}`}</h2>
    <p class="load-phase" role="status">${label}</p>
    ${progressBar(progress, progress?.bytesPerSecond)}
    ${isDownload ? html`<div class="actions"><button type="button" class="button" @click=${pause}>Pause</button></div>` : nothing}
  </section>`;
}

/** The page while a download rests. */
export function pausedView(choice: ModelChoice, progress: LoadProgress, commands: DownloadCommands): TemplateResult {
  return html`<section class="stage load-view" aria-labelledby="load-title">
    ${cairnMark(1)}
    <h2 id="load-title">${chosenName(choice) ?? "The model"} is paused</h2>
    <p class="load-phase" role="status">What has arrived is kept in this browser, also when you leave the page.</p>
    ${progressBar(progress, 0)}
    <div class="actions">
      <button type="button" class="button is-primary" @click=${commands.resume}>Resume</button>
      <button type="button" class="button" @click=${commands.chooseModel}>Choose another model</button>
    </div>
  </section>`;
}

function progressBar(progress: LoadProgress | null, bytesPerSecond = 0): TemplateResult {
  const isCounted = progress !== null && COUNTED_PHASES.has(progress.phase) && progress.total > 0;
  const fraction = isCounted ? progress.loaded / progress.total : null;
  return html`<progress aria-label="Loading" max="1" .value=${fraction ?? 0} ?data-busy=${fraction === null}></progress>
    <p class="load-numbers">${isCounted ? numbers(progress, bytesPerSecond) : nothing}</p>`;
}

const COUNTED_PHASES: ReadonlySet<LoadProgress["phase"]> = new Set(["download", "weights"]);

function numbers({ loaded, total }: LoadProgress, bytesPerSecond: number): TemplateResult {
  const left = `${formatBytes(bytesPerSecond)} a second, ${formatTimeLeft((total - loaded) / bytesPerSecond)} left`;
  return html`<span>${formatBytes(loaded)} of ${formatBytes(total)}</span>
    <span>${Math.floor((loaded / total) * 100)} %</span>
    ${bytesPerSecond > 0 ? html`<span class="load-speed">${left}</span>` : nothing}`;
}
