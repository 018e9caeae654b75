import { html, nothing, type TemplateResult } from "lit";
import type { KvTier } from "../index";
import { Announcer } from "./announcer";
import type { ChatController } from "./chat-controller";
import { type ChatState, isStreaming, numContextTokens, type Settings } from "./chat-state";
import { loadActions, loadErrorView } from "./error-view";
import { watchFolderDrops } from "./folder-drop";
import type { LibraryController } from "./library-controller";
import { type DownloadCommands, loadView, pausedView } from "./load-view";
import type { ComposerMode, MessageComposer } from "./message-composer";
import { modelBar } from "./model-bar";
import type { ModelPicker } from "./model-picker";
import { PageElement } from "./page-element";
import type { RemoteModel } from "./remote-model";
import type { TurnActions } from "./turn-view";
import { welcomeView } from "./welcome-view";

/** The page: draws the controller's state, and hands what the reader does to it. */
export class ChatApp extends PageElement {
  static override properties = {
    announcement: { state: true },
    isDragging: { state: true },
    isKvOpen: { state: true },
  };
  declare announcement: string;
  declare isDragging: boolean;
  declare isKvOpen: boolean;
  readonly #chat: ChatController;
  readonly #library: LibraryController;
  readonly #announcer = new Announcer();
  readonly #turnActions: TurnActions;
  #wasReady = false;
  #disconnect: (() => void)[] = [];

  constructor(chat: ChatController, library: LibraryController) {
    super();
    this.#chat = chat;
    this.#library = library;
    this.announcement = "";
    this.isDragging = false;
    this.isKvOpen = false;
    this.#turnActions = {
      retry: (turnId) => void chat.retry(turnId),
      reload: () => void chat.reload(),
      newChat: () => this.#newChat(),
    };
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#disconnect = [
      this.#chat.subscribe((state) => this.#onState(state)),
      watchFolderDrops({
        onDragging: (isDragging) => (this.isDragging = isDragging),
        onDrop: (name, files) => this.#openFolder(name, files),
      }),
    ];
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const disconnect of this.#disconnect) disconnect();
  }

  protected override updated(): void {
    // As a popover it is above a dialog that is open.
    this.querySelector<HTMLElement>(".drop-target:not(:popover-open)")?.showPopover();
    const isReady = this.#chat.state.engine.status === "ready";
    if (isReady && !this.#wasReady && mayTakeFocus()) this.#focusComposer();
    this.#wasReady = isReady;
  }

  protected override render(): TemplateResult {
    const state = this.#chat.state;
    const { choice, engine, turns, settings } = state;
    return html`<top-bar
        .canStartAnew=${turns.length > 0}
        .isKvOpen=${this.isKvOpen}
        @toggle-kv=${() => (this.isKvOpen = !this.isKvOpen)}
        @new-chat=${this.#newChat}
        @choose-model=${this.#chooseModel}
      ></top-bar>
      <main>${this.#content(state)}</main>
      ${this.isKvOpen ? html`<kv-panel .monitor=${this.#chat.kv} @clear-kv=${this.#clearKv}></kv-panel>` : nothing}
      <footer>
        <message-composer
          .mode=${composerMode(state)}
          .placeholder=${placeholder(state)}
          @send=${({ detail }: CustomEvent<string>) => void this.#chat.send(detail)}
          @stop=${() => this.#chat.stop()}
        ></message-composer>
        ${engine.status === "ready" ? modelBar(choice, engine.info, numContextTokens(turns)) : nothing}
      </footer>
      <settings-panel
        .settings=${settings}
        @change-settings=${({ detail }: CustomEvent<Settings>) => this.#chat.setSettings(detail)}
      ></settings-panel>
      <model-picker
        .library=${this.#library}
        @open-embedded=${() => void this.#chat.open({ kind: "embedded" })}
        @open-folder=${({ detail }: CustomEvent<{ name: string; files: File[] }>) => this.#openFolder(detail.name, detail.files)}
        @open-remote=${({ detail }: CustomEvent<RemoteModel>) => void this.#chat.open({ kind: "remote", remote: detail })}
      ></model-picker>
      <div class="visually-hidden" role="status">${this.announcement}</div>
      ${this.isDragging ? html`<div class="drop-target" popover="manual">Drop a model folder to open it</div>` : nothing}`;
  }

  #content({ choice, engine, turns }: ChatState): TemplateResult {
    switch (engine.status) {
      case "loading":
        return loadView(choice, engine.progress, this.#downloadCommands);
      case "paused":
        return pausedView(choice, engine.progress, this.#downloadCommands);
      case "failed":
        return loadErrorView(engine.error, choice, loadActions(engine.error, choice, this.#loadCommands));
      case "ready":
        return turns.length === 0
          ? welcomeView(choice, engine.info, (prompt) => void this.#chat.send(prompt))
          : html`<message-list .turns=${turns} .actions=${this.#turnActions}></message-list>`;
      default:
        return engine satisfies never;
    }
  }

  readonly #loadCommands = {
    reload: () => void this.#chat.reload(),
    chooseModel: () => this.#chooseModel(),
    openEmbedded: () => void this.#chat.open({ kind: "embedded" }),
  };

  readonly #downloadCommands: DownloadCommands = {
    pause: () => this.#chat.pause(),
    resume: () => void this.#chat.reload(),
    chooseModel: () => this.#chooseModel(),
  };

  #onState({ engine, turns }: ChatState): void {
    const turn = turns.at(-1);
    if (turn) {
      const isComplete = turn.state.status !== "streaming";
      this.announcement = this.#announcer.next(turn.id, turn.answer, isComplete) ?? this.announcement;
    } else {
      this.announcement = engine.status === "ready" ? "The model is ready." : "";
    }
    this.requestUpdate();
  }

  #newChat(): void {
    this.#chat.newChat();
    this.#focusComposer();
  }

  async #clearKv({ detail: tiers }: CustomEvent<readonly KvTier[]>): Promise<void> {
    await this.#chat.kv.clear(tiers);
    if (this.#chat.kv.reading.status !== "read") return;
    this.announcement = tiers.length > 1 ? "The KV cache was cleared." : "The storage was cleared.";
  }

  get #picker(): ModelPicker | null {
    return this.querySelector("model-picker");
  }

  #chooseModel(): void {
    this.#picker?.show();
  }

  #openFolder(name: string, files: File[]): void {
    this.#picker?.close();
    void this.#chat.open({ kind: "folder", name, files });
  }

  #focusComposer(): void {
    void this.querySelector<MessageComposer>("message-composer")?.focus();
  }
}

/** Not from a reader who is elsewhere already, nor on a touch screen, where it would open the keyboard over the page. */
function mayTakeFocus(): boolean {
  return document.activeElement === document.body && matchMedia("(pointer: fine)").matches;
}

function composerMode(state: ChatState): ComposerMode {
  if (state.engine.status !== "ready") return "unavailable";
  return isStreaming(state) ? "streaming" : "ready";
}

function placeholder({ choice, engine }: ChatState): string {
  if (engine.status === "loading") return "One moment…";
  if (engine.status === "paused") return "The download is paused";
  if (engine.status === "failed") return "No model is loaded";
  if (!engine.info.hasChatTemplate) return "Write a beginning";
  return choice.kind === "embedded" ? "Ask for a story" : "Write a message";
}
