import { html, type TemplateResult } from "lit";
import type { EngineInfo } from "../index";
import type { ModelChoice } from "./chat-state";
import { cairnMark } from "./icons";
import { STARTERS } from "./starters";

/** An empty chat: what this model can do, and how to begin. */
export function welcomeView(choice: ModelChoice, info: EngineInfo, ask: (prompt: string) => void): TemplateResult {
  return html`<section class="stage welcome">
    ${cairnMark()}
    ${choice.kind === "embedded" ? embeddedIntro(ask) : folderIntro(choice.name, info)}
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

function folderIntro(name: string, info: EngineInfo): TemplateResult {
  return html`<h2>${name} is ready</h2>
    ${
      info.hasChatTemplate
        ? html`<p>It was loaded from your folder and runs on your own device. Ask it something.</p>`
        : html`<p>
            It was loaded from your folder and runs on your own device. It has no chat template, so it does not converse: it goes on with the text that you write, and each text
            stands alone.
          </p>`
    }`;
}
