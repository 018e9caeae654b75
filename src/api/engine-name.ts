import type { EngineInit } from "../protocol/messages";

/**
 * Names a shared engine by all that makes it another one: the build, the model and the options. A browser has one SharedWorker of a
 * name.
 */
export async function engineName(build: string, { model, adapter, ...rest }: EngineInit): Promise<string> {
  const cache = "cache" in model ? (model.cache ?? true) : true;
  const full = { ...rest, model: { ...model, cache }, adapter: { forceFallback: false, ...adapter }, build };
  const text = new TextEncoder().encode(JSON.stringify(full, inOrder));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return `cairn-engine/${Array.from(hash.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** For JSON.stringify: the fields of an object in the order of their names. */
function inOrder(_name: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
