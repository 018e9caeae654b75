import { html, type TemplateResult } from "lit";
import { folderName } from "./folder";
import { cairnMark, folderIcon, layersIcon, newChatIcon, settingsIcon } from "./icons";
import { PageElement } from "./page-element";

/** The name and the page's commands. Fires `new-chat`, `toggle-kv`, and `open-folder` (a CustomEvent with a name and files). */
export class TopBar extends PageElement {
  static override properties = { canStartAnew: { type: Boolean }, isKvOpen: { type: Boolean } };
  declare canStartAnew: boolean;
  declare isKvOpen: boolean;

  constructor() {
    super();
    this.canStartAnew = false;
    this.isKvOpen = false;
  }

  /** Opens the browser's dialog; needs a user's click. */
  chooseFolder(): void {
    this.querySelector<HTMLInputElement>("input[type=file]")?.click();
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
        <button type="button" class="bar-button" title="Open a model folder" @click=${this.chooseFolder}>
          ${folderIcon}<span>Open a model folder</span>
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
        <input type="file" webkitdirectory multiple hidden aria-label="Model folder" @change=${this.#onChange} />
      </nav>
    </header>`;
  }

  #onChange(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = Array.from(input.files ?? []);
    // Cleared, so that choosing the same folder again is a change.
    input.value = "";
    this.dispatchEvent(new CustomEvent("open-folder", { detail: { name: folderName(files), files } }));
  }
}
