import { html, nothing, type TemplateResult } from "lit";
import type { EngineInfo } from "../index";
import { chosenName, type ModelChoice } from "./chat-state";
import { cairnMark } from "./icons";
import { hostOf } from "./remote-model";
import { STARTERS } from "./starters";

/** An empty chat: what this model can do, how to begin, and what its files ask for in vain. */
export function welcomeView(choice: ModelChoice, info: EngineInfo, ask: (prompt: string) => void): TemplateResult {
  return html`<section class="stage welcome">
    ${cairnMark()}
    ${choice.kind === "embedded" ? embeddedIntro(ask) : openedIntro(choice, info)}
    ${info.warnings.length === 0 ? nothing : html`<ul class="note warnings" aria-label="Warnings">${info.warnings.map((warning) => html`<li>${warning}</li>`)}</ul>`}
  </section>`;
}

function embeddedIntro(ask: (prompt: string) => void): TemplateResult {
  return html`<h2>A very small model, running in this page</h2>
    <p>
      It has 3 million parameters and was made for this project. It tells short stories and answers questions about them, and knows a few facts about animals, opposites,
      small sums and counting. Anything else it declines or gets wrong.
    </p>
    <ul class="starters" aria-label="Ways to begin">
      ${STARTERS.map(
        ({ title, hint, prompt }) => html`<li>
          <button type="button" class="starter" @click=${() => ask(prompt)}>
            <span class="starter-title">${title}</span>
            <span class="starter-hint">${hint}</span>
          </button>
        </li>`,
      )}
    </ul>
    <p class="fine-print">It runs on your own device: what you type is sent nowhere.</p>`;
}

function openedIntro(choice: Exclude<ModelChoice, { kind: "embedded" }>, info: EngineInfo): TemplateResult {
  const origin = choice.kind === "folder" ? "It was loaded from your folder" : `It came from ${hostOf(choice.remote)}`;
  return html`<h2>${chosenName(choice)} is ready</h2>
    <p>
      ${origin} and runs on your own device: what you type is sent nowhere.
      ${
        info.hasChatTemplate
          ? "Ask it something."
          : "It has no chat template, so it does not converse: it goes on with the text that you write, and each text stands alone."
      }
    </p>`;
}
