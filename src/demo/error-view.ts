import { html, nothing, type TemplateResult } from "lit";
import type { CairnError } from "../index";
import { chosenName, type ModelChoice } from "./chat-state";
import type { Remedy } from "./error-texts";
import { describeError, errorDetails } from "./error-texts";

export interface Action {
  readonly label: string;
  readonly run: () => void;
}

/** A model that did not load, as the page's main content. */
export function loadErrorView(error: CairnError, choice: ModelChoice, actions: readonly Action[]): TemplateResult {
  const name = chosenName(choice);
  const subject = name === null ? "The embedded model did not load." : `“${name}” did not load.`;
  return html`<section class="stage error-stage" role="alert">
    <p class="eyebrow">${subject}</p>
    ${errorBody(error, actions)}
  </section>`;
}

/** An answer that failed, in the place of the answer. */
export function answerErrorView(error: CairnError, actions: readonly Action[]): TemplateResult {
  return html`<div class="error-note" role="alert">${errorBody(error, actions)}</div>`;
}

/** The ways out of a failed load. The same model is not tried again where its files are the reason: they will not have changed. */
export function loadActions(
  error: CairnError,
  choice: ModelChoice,
  run: { readonly reload: () => void; readonly chooseModel: () => void; readonly openEmbedded: () => void },
): readonly Action[] {
  const retry = { label: "Try again", run: run.reload };
  const chooseModel = { label: "Choose another model", run: run.chooseModel };
  if (choice.kind === "embedded") return [retry, chooseModel];
  const others = [{ label: "Back to the embedded model", run: run.openEmbedded }, chooseModel];
  return describeError(error).remedy === "other-model" ? others : [...others, retry];
}

/** The ways out of a failed answer. */
export function answerActions(
  error: CairnError,
  run: { readonly retry: () => void; readonly reload: () => void; readonly newChat: () => void },
): readonly Action[] {
  const retry = { label: "Ask again", run: run.retry };
  const actions: Readonly<Record<Remedy, readonly Action[]>> = {
    retry: [retry],
    reload: [{ label: "Load the model again", run: run.reload }, retry],
    "new-chat": [{ label: "New chat", run: run.newChat }],
    "change-request": [retry],
    "other-model": [retry],
    environment: [retry],
  };
  return actions[describeError(error).remedy];
}

function errorBody(error: CairnError, actions: readonly Action[]): TemplateResult {
  const { headline, advice } = describeError(error);
  return html`<h2>${headline}</h2>
    <p class="error-message">${error.message}</p>
    <p>${advice}</p>
    ${actions.length === 0 ? nothing : html`<div class="actions">${actions.map(actionButton)}</div>`}
    <details>
      <summary>Details</summary>
      <pre tabindex="0" role="region" aria-label="Error details">${errorDetails(error)}</pre>
    </details>`;
}

function actionButton({ label, run }: Action, index: number): TemplateResult {
  return html`<button type="button" class=${index === 0 ? "button is-primary" : "button"} @click=${run}>${label}</button>`;
}
