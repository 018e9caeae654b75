import { CairnError, reasonOf } from "../util/errors";

/** Messages beyond plain text, tools, response_format and thoughts: what a plain chat does not need. Throws as loadPart. */
export function loadChatExtras() {
  return loadPart("chat", () => import("./chat-extras/chat"));
}

/** Several choices or prompts. Throws as loadPart. */
export function loadChoices() {
  return loadPart("choices", () => import("./choices"));
}

/** Fetches a module of the package, once. Rejects with `network` { file } where that fails. */
export async function loadPart<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const message = `A part of the package could not be fetched: ${reasonOf(cause)}`;
    throw new CairnError("network", message, { file: `part-${name}.js` }, { cause });
  }
}
