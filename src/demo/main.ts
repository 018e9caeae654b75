import { render } from "lit";
import { CairnError, createEngine } from "../index";
import { ChatApp } from "./chat-app";
import { ChatController, type LoadEngine } from "./chat-controller";
import { KvPanel } from "./kv-panel";
import { MessageComposer } from "./message-composer";
import { MessageList } from "./message-list";
import { noWebGpuView } from "./no-webgpu-view";
import { SettingsPanel } from "./settings-panel";
import { TopBar } from "./top-bar";

/** Relative to the page, which may be served from any folder. */
const EMBEDDED_MODEL = "models/cairn-stories-3M/";

const loadEngine: LoadEngine = async (choice, options) => {
  if (choice.kind === "embedded") return createEngine({ model: EMBEDDED_MODEL, ...options });
  if (choice.files.length === 0) throw new CairnError("model_file_missing", "The folder is empty.");
  return createEngine({ model: choice.files, ...options });
};

customElements.define("chat-app", ChatApp);
customElements.define("kv-panel", KvPanel);
customElements.define("message-composer", MessageComposer);
customElements.define("message-list", MessageList);
customElements.define("settings-panel", SettingsPanel);
customElements.define("top-bar", TopBar);

if (navigator.gpu) {
  const chat = new ChatController(loadEngine, () => performance.now());
  document.body.prepend(new ChatApp(chat));
  void chat.open({ kind: "embedded" });
} else {
  render(noWebGpuView(isSecureContext), document.body);
}
