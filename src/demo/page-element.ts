import { LitElement } from "lit";

/** A component without a shadow root: one stylesheet serves the page, and labels may point from one component into another. */
export class PageElement extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }
}
