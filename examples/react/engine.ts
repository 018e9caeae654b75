import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { DirectChatTransport, ToolLoopAgent } from "ai";
import { type CairnEngine, createEngine } from "cairn-llm";

/** A hub's id or a folder's URL. The model that comes with the repository is tiny: it knows short stories and little else. */
const model = new URLSearchParams(location.search).get("model") ?? "/models/cairn-stories-3M/";

let engine: Promise<CairnEngine> | null = null;
let abortLoading = new AbortController();
let numUsers = 0;

/**
 * The page's one engine. A model takes seconds to load and a good part of the GPU's memory, so components share it: the first that
 * asks starts it.
 */
export function acquireEngine(): Promise<CairnEngine> {
  numUsers += 1;
  if (engine === null) {
    abortLoading = new AbortController();
    engine = createEngine({ model, signal: abortLoading.signal });
  }
  return engine;
}

/**
 * Call it once for each acquireEngine. The engine goes when nobody needs it any more, and not at once: in development React's StrictMode
 * mounts every component, unmounts it and mounts it again, and that must neither load a second engine nor end the first.
 */
export function releaseEngine(): void {
  numUsers -= 1;
  setTimeout(() => {
    if (numUsers > 0 || engine === null) return;
    abortLoading.abort();
    // A load that failed or was aborted has left nothing to dispose of.
    engine.then((loaded) => loaded.dispose()).catch(() => {});
    engine = null;
  });
}

/**
 * What `useChat` sends messages through. The AI SDK's provider believes that it talks to a server, but its requests end in
 * `engine.fetch`: nothing leaves the page, and there is no backend.
 */
export function createTransport(loaded: CairnEngine) {
  const cairn = createOpenAICompatible({ name: "cairn", baseURL: "http://cairn/v1", fetch: loaded.fetch });
  const agent = new ToolLoopAgent({ model: cairn(loaded.info.modelId), maxOutputTokens: 200 });
  return new DirectChatTransport({ agent });
}
