import { html, type TemplateResult } from "lit";
import { DEFAULT_HUB_ENDPOINT } from "../util/hub";
import type { HubAccess } from "./remote-model";

/** Where the hub is, and who asks. `idPrefix` keeps ids apart where the fields are shown twice. */
export function hubFields(idPrefix: string, hub: HubAccess, setHub: (hub: HubAccess) => void): TemplateResult {
  return html`<div class="field">
      <label for="${idPrefix}-endpoint">Hub address</label>
      <input
        id="${idPrefix}-endpoint"
        type="url"
        spellcheck="false"
        placeholder=${DEFAULT_HUB_ENDPOINT}
        .value=${hub.endpoint === DEFAULT_HUB_ENDPOINT ? "" : hub.endpoint}
        aria-describedby="${idPrefix}-endpoint-hint"
        @change=${(event: Event) => setHub({ ...hub, endpoint: textOf(event)?.replace(/\/+$/, "") || DEFAULT_HUB_ENDPOINT })}
      />
      <p id="${idPrefix}-endpoint-hint" class="field-hint">Only for a mirror or a hub of your own</p>
    </div>
    ${tokenField(idPrefix, hub, setHub)}`;
}

export function tokenField(idPrefix: string, hub: HubAccess, setHub: (hub: HubAccess) => void): TemplateResult {
  return html`<div class="field">
    <label for="${idPrefix}-token">Access token</label>
    <input
      id="${idPrefix}-token"
      type="password"
      autocomplete="off"
      spellcheck="false"
      .value=${hub.token ?? ""}
      aria-describedby="${idPrefix}-token-hint"
      @change=${(event: Event) => setHub({ ...hub, token: textOf(event) })}
    />
    <p id="${idPrefix}-token-hint" class="field-hint">
      For models whose licence you accepted on the hub. It is sent to the hub alone, and forgotten when you leave this page.
    </p>
  </div>`;
}

function textOf(event: Event): string | null {
  return (event.target as HTMLInputElement).value.trim() || null;
}
