import { html, type TemplateResult } from "lit";
import type { KvStats, KvTier } from "../index";
import type { KvMonitor, KvReading } from "./kv-monitor";
import { type KvSection, kvSections } from "./kv-sections";
import { PageElement } from "./page-element";

/** The KV cache in numbers, which are kept fresh as long as the panel is in the page. Fires `clear-kv`, with the tiers. */
export class KvPanel extends PageElement {
  static override properties = { monitor: { attribute: false } };
  declare monitor: KvMonitor;
  #unwatch = () => {};

  override connectedCallback(): void {
    super.connectedCallback();
    this.#unwatch = this.monitor.watch(() => this.requestUpdate());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#unwatch();
  }

  protected override render(): TemplateResult {
    const { reading } = this.monitor;
    return html`<aside class="kv-panel" aria-labelledby="kv-title">
      <header>
        <h2 id="kv-title">KV cache</h2>
        ${this.#clearButton("Clear storage", "Delete the KV that outlives this page", ["storage"])}
        ${this.#clearButton("Clear all", "Forget all KV: on the GPU, in RAM and in storage", ["gpu", "host", "storage"])}
      </header>
      <div class="scroller" role="region" aria-label="Numbers of the KV cache" tabindex="0">${content(reading)}</div>
    </aside>`;
  }

  #clearButton(label: string, title: string, tiers: readonly KvTier[]): TemplateResult {
    return html`<button
      type="button"
      class="button"
      title=${title}
      ?disabled=${this.monitor.reading.status !== "read"}
      @click=${() => this.dispatchEvent(new CustomEvent("clear-kv", { detail: tiers }))}
    >
      ${label}
    </button>`;
  }
}

function content(reading: KvReading): TemplateResult {
  switch (reading.status) {
    case "empty":
      return html`<p class="fine-print">No numbers before a model is ready.</p>`;
    case "failed":
      return html`<p role="alert">The numbers could not be read: ${reading.error.message}</p>`;
    case "read":
      return statsTable(reading.stats);
    default:
      return reading satisfies never;
  }
}

function statsTable(stats: KvStats): TemplateResult {
  return html`<table>
    <caption class="visually-hidden">
      KV cache
    </caption>
    ${kvSections(stats).map(sectionRows)}
  </table>`;
}

function sectionRows({ title, rows }: KvSection): TemplateResult {
  return html`<tbody>
    <tr>
      <th scope="rowgroup" colspan="2">${title}</th>
    </tr>
    ${rows.map(([label, value]) => html`<tr><th scope="row">${label}</th><td>${value}</td></tr>`)}
  </tbody>`;
}
