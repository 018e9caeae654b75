import type { EngineInit } from "../protocol/messages";
import { hashName } from "../util/sha256";

/**
 * Names a shared engine by all that makes it another one: the build, the model and the options. A browser has one SharedWorker of a
 * name.
 */
export function engineName(build: string, { model, adapter, ...rest }: EngineInit): string {
  const cache = "cache" in model ? (model.cache ?? true) : true;
  const full = { ...rest, model: { ...model, cache }, adapter: { forceFallback: false, ...adapter }, build };
  return `cairn-engine/${hashName(JSON.stringify(full, inOrder))}`;
}

/** For JSON.stringify: the fields of an object in the order of their names. */
function inOrder(_name: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
