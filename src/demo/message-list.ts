import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import type { Turn } from "./chat-state";
import { downIcon } from "./icons";
import { PageElement } from "./page-element";
import type { TurnActions } from "./turn-view";
import { turnView } from "./turn-view";

/** How near to its end, in pixels, a list counts as read to the end. */
const END_TOLERANCE = 32;

/** The conversation. It follows the text that streams in until the reader scrolls up, and again once the reader is back at the end. */
export class MessageList extends PageElement {
  static override properties = {
    turns: { attribute: false },
    actions: { attribute: false },
    isFollowing: { state: true },
    expandedIds: { state: true },
  };
  declare turns: readonly Turn[];
  declare actions: TurnActions;
  declare isFollowing: boolean;
  declare expandedIds: ReadonlySet<number>;
  readonly #resizes = new ResizeObserver(() => this.#follow());
  #lastTurnId: number | null = null;
  #scrollTop = 0;

  constructor() {
    super();
    this.turns = [];
    this.isFollowing = true;
    this.expandedIds = new Set();
  }

  protected override willUpdate(): void {
    const lastTurnId = this.turns.at(-1)?.id ?? null;
    if (lastTurnId !== this.#lastTurnId) this.isFollowing = true;
    this.#lastTurnId = lastTurnId;
  }

  protected override firstUpdated(): void {
    // A keyboard that opens on a phone must not cover what is being read.
    if (this.#scroller) this.#resizes.observe(this.#scroller);
  }

  protected override updated(): void {
    this.#follow();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resizes.disconnect();
  }

  protected override render(): TemplateResult {
    return html`<div class="scroller" role="region" aria-label="Conversation" tabindex="0" @scroll=${this.#onScroll}>
        <ol class="turns">
          ${repeat(
            this.turns,
            ({ id }) => id,
            (turn) => turnView(turn, this.expandedIds.has(turn.id), () => this.#expand(turn.id), this.actions),
          )}
        </ol>
      </div>
      ${
        this.isFollowing
          ? nothing
          : html`<button type="button" class="button to-end" @click=${() => (this.isFollowing = true)}>${downIcon} To the end</button>`
      }`;
  }

  /** Only a move up is the reader's: text that grows, or a window that shrinks, moves the end away without one. */
  #onScroll(event: Event): void {
    const { scrollTop, scrollHeight, clientHeight } = event.currentTarget as HTMLElement;
    const isAtEnd = scrollHeight - clientHeight - scrollTop <= END_TOLERANCE;
    if (isAtEnd) this.isFollowing = true;
    else if (scrollTop < this.#scrollTop) this.isFollowing = false;
    this.#scrollTop = scrollTop;
  }

  get #scroller(): HTMLElement | null {
    return this.querySelector(".scroller");
  }

  #follow(): void {
    const scroller = this.#scroller;
    if (this.isFollowing && scroller) scroller.scrollTop = scroller.scrollHeight;
  }

  #expand(turnId: number): void {
    this.expandedIds = new Set(this.expandedIds).add(turnId);
  }
}
