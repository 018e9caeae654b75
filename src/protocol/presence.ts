/** As the browser's `navigator.locks`. */
export interface PresenceLocks {
  request(name: string, options: { readonly signal?: AbortSignal }, hold: () => unknown): Promise<unknown>;
}

/**
 * What both ends of a shared worker's port say first. The browser releases the lock when the thread that holds it ends, however it
 * does; so whoever waits for the lock learns of it, also where nothing else would tell.
 */
export interface Greeting {
  /** Held by the sender already: one that is free says that its holder is gone. */
  readonly lockName: string;
}

/** Resolves once a lock of a new name is held, with what tells others of it, and the way to release it. */
export function takePresence(
  locks: PresenceLocks,
): Promise<{ readonly greeting: Greeting; readonly release: () => void }> {
  const greeting = { lockName: `cairn-presence/${crypto.randomUUID()}` };
  return new Promise((resolve, reject) => {
    const hold = () => new Promise<void>((release) => resolve({ greeting, release }));
    locks.request(greeting.lockName, {}, hold).catch(reject);
  });
}

/** Resolves when who sent this is gone. Rejects with the signal's reason, and where there can be no locks. */
export async function awaitAbsence(locks: PresenceLocks, { lockName }: Greeting, signal?: AbortSignal): Promise<void> {
  await locks.request(lockName, { signal }, () => {});
}
