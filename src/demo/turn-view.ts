import { html, nothing, type TemplateResult } from "lit";
import { guard } from "lit/directives/guard.js";
import { unsafeHTML } from "lit/directives/unsafe-html.js";
import type { AnswerStats, Turn } from "./chat-state";
import { answerActions, answerErrorView } from "./error-view";
import { excerptOf } from "./excerpt";
import { countOf, formatDuration, formatInteger, formatSources } from "./format";
import { renderMarkdown } from "./markdown";

export interface TurnActions {
  readonly retry: (turnId: number) => void;
  readonly reload: () => void;
  readonly newChat: () => void;
}

/** A question and its answer. `expand` is called when the reader wants to see all of a long question. */
export function turnView(turn: Turn, isExpanded: boolean, expand: () => void, actions: TurnActions): TemplateResult {
  return html`<li class="turn">
    <h2 class="visually-hidden">You</h2>
    <div class="prompt">${promptText(turn.prompt, isExpanded, expand)}</div>
    <h2 class="visually-hidden">Answer</h2>
    <div class="answer">
      ${thoughtsView(turn.thoughts)}
      ${guard([turn.answer], () => html`<div class="prose">${unsafeHTML(renderMarkdown(turn.answer))}</div>`)}
      ${answerState(turn, actions)}
    </div>
  </li>`;
}

function thoughtsView(thoughts: string | undefined): TemplateResult | typeof nothing {
  if (thoughts === undefined) return nothing;
  return html`<details>
    <summary>Thoughts</summary>
    ${guard([thoughts], () => html`<div class="prose">${unsafeHTML(renderMarkdown(thoughts))}</div>`)}
  </details>`;
}

function promptText(prompt: string, isExpanded: boolean, expand: () => void): TemplateResult {
  const excerpt = isExpanded ? null : excerptOf(prompt);
  if (!excerpt) return html`<p>${prompt}</p>`;
  return html`<p>${excerpt.head} …</p>
    <button type="button" class="link-button" @click=${expand}>Show all ${formatInteger(prompt.length)} characters</button>
    ${excerpt.tail === "" ? nothing : html`<p>${excerpt.tail}</p>`}`;
}

function answerState({ id, answer, thoughts, state }: Turn, actions: TurnActions): TemplateResult | typeof nothing {
  switch (state.status) {
    case "streaming":
      return answer === ""
        ? html`<p class="thinking"><span class="visually-hidden">Reading the prompt</span></p>`
        : nothing;
    case "done":
      return html`${answer === "" && !thoughts ? html`<p class="note">The model ended its answer at once, without a word.</p>` : nothing}
        ${statsLine(state.stats, "")} ${endingNote(state.ending, actions)}`;
    case "stopped":
      return statsLine(state.stats, "Stopped");
    case "failed":
      return answerErrorView(
        state.error,
        answerActions(state.error, {
          retry: () => actions.retry(id),
          reload: actions.reload,
          newChat: actions.newChat,
        }),
      );
    default:
      return state satisfies never;
  }
}

function endingNote(
  ending: "complete" | "token-limit" | "context-full",
  actions: TurnActions,
): TemplateResult | typeof nothing {
  if (ending === "complete") return nothing;
  if (ending === "token-limit")
    return html`<p class="note">The answer was cut at the longest length that the settings allow.</p>`;
  return html`<div class="note">
    <p>The answer was cut: the model's context is full. A new chat starts with an empty one.</p>
    <button type="button" class="button" @click=${actions.newChat}>New chat</button>
  </div>`;
}

function statsLine(stats: AnswerStats, prefix: string): TemplateResult {
  const { numTokens, tokensPerSecond, timeToFirstTokenMs, numPromptTokens, cachedTokens } = stats;
  const parts = [
    prefix,
    countOf(numTokens, "token"),
    tokensPerSecond === null ? "" : `${tokensPerSecond.toFixed(1)} tokens/s`,
    timeToFirstTokenMs === null ? "" : `first token ${formatDuration(timeToFirstTokenMs)}`,
    numPromptTokens === null ? "" : `prompt ${countOf(numPromptTokens, "token")}`,
    numPromptTokens === null || cachedTokens === null ? "" : formatSources(numPromptTokens, cachedTokens),
  ];
  return html`<ul class="facts stats" aria-label="Numbers of this answer">
    ${parts.filter((part) => part !== "").map((part) => html`<li>${part}</li>`)}
  </ul>`;
}
