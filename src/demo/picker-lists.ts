import { html, nothing, type TemplateResult } from "lit";
import type { CachedModel } from "../index";
import type { CuratedModel } from "./curated-models";
import { describeError } from "./error-texts";
import { countOf, formatAboutBytes, formatBytes } from "./format";
import { hubFields } from "./hub-fields";
import { type Deletion, endpointOf, type LibraryState, type Reading } from "./library-state";
import { type HubAccess, hostOfUrl } from "./remote-model";

export interface PickerActions {
  readonly openEmbedded: () => void;
  readonly openFolder: () => void;
  readonly choose: (model: string, revision: string | null, endpoint?: string) => void;
  readonly setHub: (hub: HubAccess) => void;
  readonly askToDelete: (key: string) => void;
  readonly confirmDelete: () => void;
  readonly keep: () => void;
}

/** All the ways to a model. `typed` is the form in which any other one is named. */
export function pickerLists(state: LibraryState, typed: TemplateResult, actions: PickerActions): TemplateResult {
  return html`<section aria-labelledby="picker-here">
      <h3 id="picker-here">In this browser</h3>
      <ul class="model-list">
        <li class="model-row">
          ${rowText("cairn-stories-3M", ["6.6 MB", "comes with this page", "Apache-2.0"])}
          <div class="row-actions">${rowButton("Open", "cairn-stories-3M", actions.openEmbedded)}</div>
        </li>
        ${whenRead(state.cached, (models) => models.map((model) => cachedRow(model, state.deletion, actions)))}
      </ul>
    </section>
    <section aria-labelledby="picker-hub">
      <h3 id="picker-hub">From the hub</h3>
      <p class="fine-print">
        Files come from ${hostOfUrl(state.hub.endpoint)}, and only when you ask for a model: first its configuration, to tell what it needs.
      </p>
      <ul class="model-list">
        ${whenRead(state.curated, (models) => models.map((model) => curatedRow(model, actions)))}
      </ul>
      ${typed}
      <details>
        <summary>Hub address and access token</summary>
        ${hubFields("picker", state.hub, actions.setHub)}
      </details>
    </section>
    <section aria-labelledby="picker-folder">
      <h3 id="picker-folder">From your computer</h3>
      <p class="fine-print">A folder with config.json, the tokenizer and .safetensors files. It can also be dropped anywhere on this page.</p>
      <div class="actions">
        <button type="button" class="button" @click=${actions.openFolder}>Open a model folder</button>
      </div>
    </section>`;
}

function whenRead<Value>(
  reading: Reading<Value>,
  rows: (value: Value) => readonly TemplateResult[],
): readonly TemplateResult[] | TemplateResult {
  switch (reading.status) {
    case "reading":
      return html`<li class="fine-print">One moment…</li>`;
    case "failed":
      return html`<li class="is-invalid" role="alert">This list could not be read: ${reading.error.message}</li>`;
    case "read":
      return rows(reading.value);
    default:
      return reading satisfies never;
  }
}

function curatedRow(
  { id, name, downloadBytes, licence, context, isGated }: CuratedModel,
  { choose }: PickerActions,
): TemplateResult {
  const facts = [
    `about ${formatAboutBytes(downloadBytes)}`,
    `${countOf(context, "token")} of context`,
    isGated ? `${licence}, to be accepted on the hub` : licence,
  ];
  return html`<li class="model-row">
    ${rowText(name, facts)}
    <div class="row-actions">${rowButton("Choose", name, () => choose(id, null))}</div>
  </li>`;
}

function cachedRow(cached: CachedModel, deletion: Deletion | null, actions: PickerActions): TemplateResult {
  const { key, model, revision, bytes, totalBytes, isComplete, lastUsedMs } = cached;
  const mine = deletion?.key === key ? deletion : null;
  const size = isComplete ? formatBytes(bytes) : `${formatBytes(bytes)} of ${formatBytes(totalBytes)}, not finished`;
  const facts = [size, ...(revision === null ? [] : [revision.slice(0, 7)]), usedText(lastUsedMs)];
  const isDeleting = mine?.status === "deleting";
  const choose = () => actions.choose(model, revision, revision === null ? undefined : endpointOf(cached));
  // The focus stays where it is while the buttons change: the one that asked to delete becomes the harmless one.
  const buttons =
    mine?.status === "asking"
      ? [rowButton("Delete for good", model, actions.confirmDelete), rowButton("Keep", model, actions.keep)]
      : [
          rowButton(isComplete ? "Open" : "Continue", model, choose, isDeleting),
          rowButton("Delete", model, () => actions.askToDelete(key), isDeleting),
        ];
  return html`<li class="model-row">
    ${rowText(model, facts)}
    <div class="row-actions">${buttons}</div>
    ${mine?.status === "failed" ? html`<p class="is-invalid" role="alert">${describeError(mine.error).headline}. ${mine.error.message}</p>` : nothing}
  </li>`;
}

function rowButton(label: string, subject: string, run: () => void, isDisabled = false): TemplateResult {
  return html`<button type="button" class="button" aria-label="${label}: ${subject}" ?disabled=${isDisabled} @click=${run}>${label}</button>`;
}

function rowText(name: string, facts: readonly string[]): TemplateResult {
  return html`<div class="row-text">
    <span class="row-name">${name}</span>
    <ul class="facts">${facts.map((fact) => html`<li>${fact}</li>`)}</ul>
  </div>`;
}

function usedText(lastUsedMs: number): string {
  return `used ${new Date(lastUsedMs).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" })}`;
}
