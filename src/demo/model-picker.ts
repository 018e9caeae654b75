import { html, type TemplateResult } from "lit";
import { folderName } from "./folder";
import { closeIcon } from "./icons";
import type { LibraryController } from "./library-controller";
import { PageElement } from "./page-element";
import { type PickerActions, pickerLists } from "./picker-lists";
import { type PlanActions, planView } from "./plan-view";
import { parseModel, type RemoteModel } from "./remote-model";

/**
 * The choice of a model, as a modal dialog. Fires `open-embedded`, `open-folder` (a CustomEvent with a name and files) and
 * `open-remote` (a CustomEvent with a RemoteModel), and closes itself with each of them.
 */
export class ModelPicker extends PageElement {
  static override properties = {
    library: { attribute: false },
    typed: { state: true },
    isTypedInvalid: { state: true },
  };
  declare library: LibraryController;
  declare typed: string;
  declare isTypedInvalid: boolean;
  #unsubscribe = () => {};
  #shownModel: string | null = null;

  constructor() {
    super();
    this.typed = "";
    this.isTypedInvalid = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#unsubscribe = this.library.subscribe(() => this.requestUpdate());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#unsubscribe();
  }

  show(): void {
    void this.library.refresh();
    this.#dialog?.showModal();
  }

  close(): void {
    this.#dialog?.close();
  }

  /** The reader comes to another view at its title; what had the focus may be gone. */
  protected override updated(): void {
    const model = this.library.state.chosen?.model.model ?? null;
    const isFocusLost = this.#dialog?.open && !this.#dialog.contains(document.activeElement);
    const isOtherView = model !== this.#shownModel;
    this.#shownModel = model;
    if (isOtherView) this.querySelector(".picker-body")?.scrollTo(0, 0);
    if (isOtherView || isFocusLost) this.querySelector<HTMLElement>("#picker-title")?.focus();
  }

  get #dialog(): HTMLDialogElement | null {
    return this.querySelector("dialog");
  }

  protected override render(): TemplateResult {
    const { state } = this.library;
    const { chosen } = state;
    return html`<dialog class="picker" closedby="any" aria-labelledby="picker-title" @close=${() => this.library.leave()}>
      <header>
        ${chosen ? html`<button type="button" class="button" @click=${() => this.library.leave()}>Back</button>` : ""}
        <h2 id="picker-title" tabindex="-1">${chosen ? breakable(chosen.model.model) : "Models"}</h2>
        <button type="button" class="bar-button" aria-label="Close" @click=${this.close}>${closeIcon}</button>
      </header>
      <div class=${chosen ? "picker-body is-plan" : "picker-body"}>
        ${chosen ? planView(state, this.#planActions) : pickerLists(state, this.#typedForm(), this.#listActions)}
      </div>
      <input type="file" webkitdirectory multiple hidden aria-label="Model folder" @change=${this.#onFolder} />
    </dialog>`;
  }

  #typedForm(): TemplateResult {
    return html`<form class="field" @submit=${this.#onSubmit}>
      <label for="picker-typed">Any other model</label>
      <div class="field-row">
        <input
          id="picker-typed"
          type="text"
          autocapitalize="off"
          autocomplete="off"
          spellcheck="false"
          placeholder="owner/name"
          .value=${this.typed}
          aria-invalid=${this.isTypedInvalid}
          aria-describedby="picker-typed-hint"
          @input=${(event: InputEvent) => (this.typed = (event.target as HTMLInputElement).value)}
        />
        <button class="button">Choose</button>
      </div>
      <p id="picker-typed-hint" class=${this.isTypedInvalid ? "field-hint is-invalid" : "field-hint"}>
        ${
          this.isTypedInvalid
            ? "This is neither an id such as owner/name nor the address of a folder, which ends in a slash."
            : "Its id on the hub, or the address of a folder that ends in a slash. Cairn runs Llama and Gemma 3 text models from .safetensors files."
        }
      </p>
    </form>`;
  }

  readonly #listActions: PickerActions = {
    openEmbedded: () => this.#open(new CustomEvent("open-embedded")),
    openFolder: () => this.querySelector<HTMLInputElement>("input[type=file]")?.click(),
    choose: (model, revision, endpoint) => void this.library.choose(model, revision, endpoint),
    setHub: (hub) => this.library.setHub(hub),
    askToDelete: (key) => this.library.askToDelete(key),
    confirmDelete: () => void this.library.confirmDelete(),
    keep: () => this.library.keep(),
  };

  readonly #planActions: PlanActions = {
    setQuantization: (quantization) => void this.library.setQuantization(quantization),
    setHub: (hub) => this.library.setHub(hub),
    planAgain: () => void this.library.planAgain(),
    open: (model) => this.#open(new CustomEvent<RemoteModel>("open-remote", { detail: model })),
  };

  #onSubmit(event: Event): void {
    event.preventDefault();
    const model = parseModel(this.typed, this.library.state.hub.endpoint);
    this.isTypedInvalid = model === null;
    if (model !== null) void this.library.choose(model, null);
  }

  #onFolder(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = Array.from(input.files ?? []);
    // Cleared, so that choosing the same folder again is a change.
    input.value = "";
    this.#open(new CustomEvent("open-folder", { detail: { name: folderName(files), files } }));
  }

  #open(event: CustomEvent): void {
    this.close();
    this.dispatchEvent(event);
  }
}

/** A long id, which may be broken after its slashes. */
function breakable(id: string): readonly (string | TemplateResult)[] {
  return id.split("/").map((part, index) => (index === 0 ? part : html`/<wbr />${part}`));
}
