import { html, nothing, type TemplateResult } from "lit";
import type { CachedModel, CairnError, MemoryPlan } from "../index";
import { describeError } from "./error-texts";
import { formatBytes } from "./format";
import { tokenField } from "./hub-fields";
import { cachedCopy, type LibraryState, type Reading } from "./library-state";
import { planRows } from "./plan-rows";
import { type HubAccess, hostOf, type Quantization, type RemoteModel } from "./remote-model";
import { refusalOf, type Verdict, verdictOf } from "./verdict";

export interface PlanActions {
  readonly setQuantization: (quantization: Quantization) => void;
  readonly setHub: (hub: HubAccess) => void;
  readonly planAgain: () => void;
  readonly open: (model: RemoteModel) => void;
}

const QUANTIZATIONS: readonly { readonly value: Quantization; readonly label: string; readonly hint: string }[] = [
  { value: null, label: "As published", hint: "no loss" },
  { value: "q8_0", label: "8 bits", hint: "about half the memory, hardly any loss" },
  { value: "q4_0", label: "4 bits", hint: "about a third, some loss" },
];

/** What the chosen model needs, whether this device has it, and the way to get it. */
export function planView(state: LibraryState, actions: PlanActions): TemplateResult | typeof nothing {
  if (!state.chosen) return nothing;
  const { model, plan } = state.chosen;
  return html`<p>Its files come from ${hostOf(model)} and are kept in this browser. What you type is sent nowhere.</p>
    ${quantizationChoice(model.quantization, actions.setQuantization)}
    <div role="status">${outcome(model, plan)}</div>
    ${plan.status === "read" ? wayOn(plan.value, model, cachedCopy(state, model), actions) : nothing}
    ${plan.status === "failed" ? wayBack(plan.error, state.hub, actions) : nothing}`;
}

function outcome(model: RemoteModel, plan: Reading<MemoryPlan>): TemplateResult {
  switch (plan.status) {
    case "reading":
      return html`<p class="load-phase">Reading what it needs…</p>`;
    case "read":
      return verdictNote(verdictOf(plan.value, model.quantization));
    case "failed":
      return refusalNote(plan.error, model.quantization);
    default:
      return plan satisfies never;
  }
}

function refusalNote(error: CairnError, quantization: Quantization): TemplateResult {
  const refusal = refusalOf(error, quantization);
  if (refusal) return verdictNote(refusal);
  const { headline, advice } = describeError(error);
  return html`<div class="error-note">
    <h3>${headline}</h3>
    <p class="error-message">${error.message}</p>
    <p>${advice}</p>
  </div>`;
}

function wayOn(plan: MemoryPlan, model: RemoteModel, copy: CachedModel | null, { open }: PlanActions): TemplateResult {
  return html`<div>
      <button type="button" class="button is-primary" @click=${() => open(model)}>${openLabel(plan.downloadBytes, copy)}</button>
    </div>
    <table class="plan-table">
      <caption class="visually-hidden">
        What it needs
      </caption>
      ${planRows(plan, copy).map(
        ({ label, value, isPart }) =>
          html`<tr class=${isPart ? "is-part" : ""}><th scope="row">${label}</th><td>${value}</td></tr>`,
      )}
    </table>`;
}

function wayBack(error: CairnError, hub: HubAccess, { setHub, planAgain }: PlanActions): TemplateResult {
  return html`<form @submit=${(event: Event) => again(event, planAgain)}>
    ${error.code === "gated_model" ? tokenField("plan", hub, setHub) : nothing}
    <div class="actions"><button class="button">Try again</button></div>
  </form>`;
}

function again(event: Event, planAgain: () => void): void {
  event.preventDefault();
  planAgain();
}

function openLabel(downloadBytes: number, copy: CachedModel | null): string {
  if (copy?.isComplete) return "Open";
  return copy ? "Continue the download" : `Download ${formatBytes(downloadBytes)} and open`;
}

function verdictNote({ fit, headline, advice }: Verdict): TemplateResult {
  return html`<div class="verdict is-${fit}">
    <h3>${headline}</h3>
    <p>${advice}</p>
  </div>`;
}

function quantizationChoice(chosen: Quantization, choose: (quantization: Quantization) => void): TemplateResult {
  return html`<fieldset class="choices">
    <legend>Weights in GPU memory</legend>
    ${QUANTIZATIONS.map(
      ({ value, label, hint }) => html`<label class="choice">
        <input type="radio" name="quantization" .checked=${value === chosen} @change=${() => choose(value)} />
        <span>${label}</span>
        <span class="field-hint">${hint}</span>
      </label>`,
    )}
  </fieldset>`;
}
