import { html, svg, type TemplateResult } from "lit";

function icon(shape: TemplateResult): TemplateResult {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${shape}</svg>`;
}

export const newChatIcon = icon(svg`<path d="M12 5v14M5 12h14" />`);
export const modelsIcon = icon(
  svg`<path d="M12 3.5l7.5 4.2v8.6L12 20.5l-7.5-4.2V7.7zM4.5 7.7L12 12l7.5-4.3M12 12v8.5" />`,
);
export const closeIcon = icon(svg`<path d="M6 6l12 12M18 6L6 18" />`);
export const settingsIcon = icon(
  svg`<path d="M4 8h9M19 8h1M4 16h1M11 16h9" /><circle cx="16" cy="8" r="2.5" /><circle cx="8" cy="16" r="2.5" />`,
);
export const layersIcon = icon(svg`<path d="M12 3.5l8 4-8 4-8-4zM4 12l8 4 8-4M4 16.5l8 4 8-4" />`);
export const sendIcon = icon(svg`<path d="M12 19V5.5M6 11l6-6 6 6" />`);
export const stopIcon = icon(
  svg`<rect x="7" y="7" width="10" height="10" rx="1.5" fill="currentColor" stroke="none" />`,
);
export const downIcon = icon(svg`<path d="M12 5v13.5M6 13l6 6 6-6" />`);

/** The product's mark. `placed` of its three stones are there, from the ground up; the others are outlines. */
export function cairnMark(placed = 3): TemplateResult {
  const stone = (index: number) => (index < placed ? "stone is-placed" : "stone");
  return html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <path class="${stone(0)} base" d="M3 25.6c0-3.4 4.6-5 12.6-5S29 22 29 25.2 25.4 30 16.2 30 3 28.8 3 25.6z" />
    <path class="${stone(1)} middle" d="M7 16.9c0-2.7 3.4-4.3 8.7-4.3s9 1.3 9 4-3.4 4.2-9 4.2S7 19.6 7 16.9z" />
    <path class="${stone(2)} top" d="M11.4 8.2c0-3 2.3-5.2 5.2-5.2s5 2 5 4.8-2.2 4.8-5.2 4.8-5-1.7-5-4.4z" />
  </svg>`;
}
