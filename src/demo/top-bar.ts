import { html, type TemplateResult } from "lit";
import { cairnMark, layersIcon, modelsIcon, newChatIcon, settingsIcon } from "./icons";
import { PageElement } from "./page-element";

/** The name and the page's commands. Fires `new-chat`, `choose-model` and `toggle-kv`. */
export class TopBar extends PageElement {
  static override properties = { canStartAnew: { type: Boolean }, isKvOpen: { type: Boolean } };
  declare canStartAnew: boolean;
  declare isKvOpen: boolean;

  constructor() {
    super();
    this.canStartAnew = false;
    this.isKvOpen = false;
  }

  protected override render(): TemplateResult {
    return html`<header class="top-bar">
      <h1 class="brand">${cairnMark()}<span>Cairn</span></h1>
      <nav aria-label="Commands">
        <button
          type="button"
          class="bar-button"
          title="New chat"
          ?disabled=${!this.canStartAnew}
          @click=${() => this.dispatchEvent(new CustomEvent("new-chat"))}
        >
          ${newChatIcon}<span>New chat</span>
        </button>
        <button
          type="button"
          class="bar-button"
          title="Models"
          aria-haspopup="dialog"
          @click=${() => this.dispatchEvent(new CustomEvent("choose-model"))}
        >
          ${modelsIcon}<span>Models</span>
        </button>
        <button
          type="button"
          class="bar-button"
          title="KV cache"
          aria-expanded=${this.isKvOpen ? "true" : "false"}
          @click=${() => this.dispatchEvent(new CustomEvent("toggle-kv"))}
        >
          ${layersIcon}<span>KV cache</span>
        </button>
        <button type="button" class="bar-button" title="Settings" popovertarget="settings">
          ${settingsIcon}<span>Settings</span>
        </button>
      </nav>
    </header>`;
  }
}
