import { render } from "lit";
import { createEngine } from "../index";
import { ChatApp } from "./chat-app";
import { ChatController, type LoadEngine } from "./chat-controller";
import { noWebGpuView } from "./no-webgpu-view";

/** Relative to the page, which may be served from any folder. */
const EMBEDDED_MODEL = "models/cairn-stories-3M/";

const loadEngine: LoadEngine = (choice, options) => {
  const model = choice.kind === "embedded" ? new URL(EMBEDDED_MODEL, document.baseURI).href : choice.files;
  return createEngine({ model, ...options });
};

if (navigator.gpu) {
  const chat = new ChatController(loadEngine, () => performance.now());
  document.body.prepend(new ChatApp(chat));
  void chat.open({ kind: "embedded" });
} else {
  render(noWebGpuView(isSecureContext), document.body);
}
