import { html, type TemplateResult } from "lit";
import { sendIcon, stopIcon } from "./icons";
import { PageElement } from "./page-element";

export type ComposerMode = "ready" | "streaming" | "unavailable";

const MAX_HEIGHT_PX = 168;

/** Where the reader writes. Fires `send` (a CustomEvent with the text) and `stop`; a draft may be written while an answer streams. */
export class MessageComposer extends PageElement {
  static override properties = { mode: {}, placeholder: {}, draft: { state: true } };
  declare mode: ComposerMode;
  declare placeholder: string;
  declare draft: string;

  constructor() {
    super();
    this.mode = "unavailable";
    this.placeholder = "";
    this.draft = "";
  }

  /** Puts the caret into the text, once it can take it. */
  override async focus(): Promise<void> {
    await this.updateComplete;
    this.#textarea?.focus();
  }

  get #textarea(): HTMLTextAreaElement | null {
    return this.querySelector("textarea");
  }

  protected override updated(changed: Map<string, unknown>): void {
    const textarea = this.#textarea;
    if (!textarea || !changed.has("draft")) return;
    textarea.style.height = "auto";
    textarea.style.height = `${Math.min(textarea.scrollHeight, MAX_HEIGHT_PX)}px`;
    textarea.style.overflowY = textarea.scrollHeight > MAX_HEIGHT_PX ? "auto" : "hidden";
  }

  protected override render(): TemplateResult {
    return html`<form class="composer" @submit=${this.#onSubmit}>
      <textarea
        rows="1"
        aria-label="Message"
        placeholder=${this.placeholder}
        enterkeyhint="send"
        ?disabled=${this.mode === "unavailable"}
        .value=${this.draft}
        @input=${(event: InputEvent) => (this.draft = (event.target as HTMLTextAreaElement).value)}
        @keydown=${this.#onKeydown}
      ></textarea>
      ${
        this.mode === "streaming"
          ? html`<button type="button" class="round-button" aria-label="Stop" title="Stop (Esc)" @click=${this.#stop}>${stopIcon}</button>`
          : html`<button class="round-button" aria-label="Send" title="Send (Enter)" ?disabled=${!this.#canSend}>${sendIcon}</button>`
      }
    </form>`;
  }

  get #canSend(): boolean {
    return this.mode === "ready" && this.draft.trim() !== "";
  }

  #onKeydown(event: KeyboardEvent): void {
    if (event.key === "Escape" && this.mode === "streaming") this.#stop();
    // Enter that confirms an input method's candidate is not meant for us.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#onSubmit(event);
  }

  #onSubmit(event: Event): void {
    event.preventDefault();
    if (!this.#canSend) return;
    this.dispatchEvent(new CustomEvent("send", { detail: this.draft }));
    this.draft = "";
  }

  #stop(): void {
    this.dispatchEvent(new CustomEvent("stop"));
    void this.focus();
  }
}
