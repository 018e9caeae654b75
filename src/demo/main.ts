import { render } from "lit";
import { ChatApp } from "./chat-app";
import { ChatController } from "./chat-controller";
import { KvPanel } from "./kv-panel";
import { LibraryController } from "./library-controller";
import { MessageComposer } from "./message-composer";
import { MessageList } from "./message-list";
import { ModelPicker } from "./model-picker";
import { library, loadEngine } from "./models";
import { noWebGpuView } from "./no-webgpu-view";
import { SettingsPanel } from "./settings-panel";
import { TopBar } from "./top-bar";

customElements.define("chat-app", ChatApp);
customElements.define("kv-panel", KvPanel);
customElements.define("message-composer", MessageComposer);
customElements.define("message-list", MessageList);
customElements.define("model-picker", ModelPicker);
customElements.define("settings-panel", SettingsPanel);
customElements.define("top-bar", TopBar);

if (navigator.gpu) {
  const chat = new ChatController(loadEngine, () => performance.now());
  document.body.prepend(new ChatApp(chat, new LibraryController(library)));
  void chat.open({ kind: "embedded" });
} else {
  render(noWebGpuView(isSecureContext), document.body);
}
