import type { DeviceVerdict } from "../runner/self-test/choose-variant";
import type { VerdictMemory } from "./device-verdict";

/** A cache's keys are URLs; nothing is ever fetched from this one. A worker made from a blob has its page's origin. */
const urlOf = (key: string): string => `${location.origin}/?cairn-verdict=${encodeURIComponent(key)}`;

/** Verdicts in the browser's Cache API. */
export const browserVerdicts: VerdictMemory = {
  async get(key) {
    const response = await withCache((cache) => cache.match(urlOf(key)));
    return response ? ((await response.json()) as DeviceVerdict) : null;
  },
  async set(key, verdict) {
    await withCache((cache) => cache.put(urlOf(key), new Response(JSON.stringify(verdict))));
  },
};

async function withCache<T>(use: (cache: Cache) => Promise<T>): Promise<T | undefined> {
  try {
    return await use(await caches.open("cairn-device-verdicts"));
  } catch {
    // No Cache API here, or no leave to use it, or no room: then the test runs again at the next load.
    return undefined;
  }
}
