import { html, type TemplateResult } from "lit";
import type { Settings } from "./chat-state";
import { PageElement } from "./page-element";

interface Field {
  readonly key: keyof Settings;
  readonly label: string;
  readonly hint: string;
  readonly min: number;
  readonly max: number;
  readonly step: string;
}

const FIELDS: readonly Field[] = [
  {
    key: "temperature",
    label: "Temperature",
    hint: "0 to 2; 0 always takes the likeliest word",
    min: 0,
    max: 2,
    step: "any",
  },
  {
    key: "maxTokens",
    label: "Longest answer",
    hint: "In tokens; empty lets the model end it",
    min: 1,
    max: 1_000_000,
    step: "1",
  },
  {
    key: "seed",
    label: "Seed",
    hint: "The same seed and prompt repeat an answer",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    step: "1",
  },
];

/** How answers are drawn, as a popover that a button opens by id. Fires `change-settings` (a CustomEvent with Settings) for values in range only. */
export class SettingsPanel extends PageElement {
  static override properties = { settings: { attribute: false }, invalidKeys: { state: true } };
  declare settings: Settings;
  declare invalidKeys: ReadonlySet<keyof Settings>;

  constructor() {
    super();
    this.settings = { temperature: null, maxTokens: null, seed: null };
    this.invalidKeys = new Set();
  }

  protected override render(): TemplateResult {
    return html`<div id="settings" class="settings" popover role="dialog" aria-labelledby="settings-title">
      <h2 id="settings-title">Settings</h2>
      ${FIELDS.map((field) => this.#field(field))}
      <p class="fine-print">Fields left empty follow the model's own defaults.</p>
    </div>`;
  }

  #field({ key, label, hint, min, max, step }: Field): TemplateResult {
    const isInvalid = this.invalidKeys.has(key);
    return html`<div class="field">
      <label for="setting-${key}">${label}</label>
      <input
        id="setting-${key}"
        type="number"
        inputmode="decimal"
        placeholder="default"
        min=${min}
        max=${max}
        step=${step}
        aria-describedby="setting-${key}-hint"
        aria-invalid=${isInvalid}
        @input=${(event: InputEvent) => this.#onInput(key, event.target as HTMLInputElement)}
      />
      <p id="setting-${key}-hint" class=${isInvalid ? "field-hint is-invalid" : "field-hint"}>
        ${isInvalid ? "Not in range; the last good value stays in use" : hint}
      </p>
    </div>`;
  }

  #onInput(key: keyof Settings, input: HTMLInputElement): void {
    const invalidKeys = new Set(this.invalidKeys);
    if (input.validity.valid) {
      invalidKeys.delete(key);
      const settings = { ...this.settings, [key]: input.value === "" ? null : input.valueAsNumber };
      this.dispatchEvent(new CustomEvent("change-settings", { detail: settings }));
    } else {
      invalidKeys.add(key);
    }
    this.invalidKeys = invalidKeys;
  }
}
