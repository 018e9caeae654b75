/** Held by the one tab that writes a model's files. */
export const downloadLock = (key: string): string => `cairn-download:${key}`;
/** Shared by all that read a model's files. */
export const useLock = (key: string): string => `cairn-use:${key}`;

/** Runs `work` while nobody else holds `name`; at once where the browser has no locks. */
export async function holding<T>(
  locks: LockManager | null,
  name: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  return locks ? await locks.request(name, { signal }, work) : work();
}

/** Takes a lock that others may share. Resolves, once it is held, with the way to release it. */
export function share(locks: LockManager | null, name: string, signal: AbortSignal | undefined): Promise<() => void> {
  return new Promise((resolve, reject) => {
    if (!locks) return resolve(() => {});
    const hold = () => new Promise<void>((release) => resolve(release));
    locks.request(name, { mode: "shared", signal }, hold).catch(reject);
  });
}
