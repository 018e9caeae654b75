import { html, type TemplateResult } from "lit";
import { cairnMark } from "./icons";

/** The whole page where `navigator.gpu` is missing. Browsers hide it on insecure origins too, so that comes first. */
export function noWebGpuView(isSecureContext: boolean): TemplateResult {
  return html`<main class="no-webgpu">
    ${cairnMark(0)}
    <h1>This browser has no WebGPU</h1>
    <p class="lead">
      Cairn runs a language model inside this page, on your own graphics card. It reaches the card through WebGPU, and this browser does not offer it here.
    </p>
    ${isSecureContext ? browserAdvice : secureAdvice}
    <p class="actions"><button type="button" class="button is-primary" @click=${() => location.reload()}>Check again</button></p>
    <p class="fine-print">Nothing was downloaded, and nothing was sent anywhere.</p>
  </main>`;
}

const secureAdvice = html`<h2>Open this page over HTTPS</h2>
  <p>
    Browsers keep WebGPU for secure pages. Use an address that starts with <code>https://</code>, or
    <code>http://localhost</code> on the machine that serves the page.
  </p>`;

const browserAdvice = html`<h2>What you can do</h2>
  <ul>
    <li><strong>Chrome, Edge, Brave, Opera:</strong> update to the current version. On Linux, WebGPU may have to be turned on at <code>chrome://flags/#enable-unsafe-webgpu</code>.</li>
    <li><strong>Safari:</strong> version 26 or later, on macOS, iOS, iPadOS or visionOS.</li>
    <li><strong>Firefox:</strong> update to the current version; it has WebGPU on Windows and on Macs with Apple silicon.</li>
    <li>Turn on <strong>hardware acceleration</strong> (or “graphics acceleration”) in the browser's settings, then restart it.</li>
  </ul>`;
