import type { DeviceVerdict, VerdictMemory } from "./device-verdict";

const CACHE_NAME = "cairn-device-verdicts";
/** A cache's keys are URLs; nothing is ever fetched from this one. */
const urlOf = (key: string): string => `https://cairn.invalid/${key}`;

/** Verdicts in the browser's Cache API; where there is none, as long as the worker lives. */
export class BrowserVerdictMemory implements VerdictMemory {
  readonly #verdicts = new Map<string, DeviceVerdict>();

  async get(key: string): Promise<DeviceVerdict | null> {
    const response = await withCache((cache) => cache.match(urlOf(key)));
    return response ? await response.json() : (this.#verdicts.get(key) ?? null);
  }

  async set(key: string, verdict: DeviceVerdict): Promise<void> {
    this.#verdicts.set(key, verdict);
    await withCache((cache) => cache.put(urlOf(key), new Response(JSON.stringify(verdict))));
  }
}

async function withCache<T>(use: (cache: Cache) => Promise<T>): Promise<T | undefined> {
  try {
    return await use(await caches.open(CACHE_NAME));
  } catch {
    // No Cache API here, or no leave to use it, or no room: then the test runs again at the next load.
    return undefined;
  }
}
