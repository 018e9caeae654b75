const GIB = 2 ** 30;

/** What the browser thinks of its room for this origin. */
export interface RoomEstimate {
  readonly quota?: number;
  readonly usage?: number;
}

/** Half of what is free, 2 GiB at most. An estimate is no promise: what the browser refuses later is the truth. */
export async function defaultMaxBytes(estimate: () => Promise<RoomEstimate | null>): Promise<number> {
  const { quota, usage = 0 } = (await estimate().catch(() => null)) ?? {};
  return quota === undefined ? 2 * GIB : Math.max(0, Math.min(2 * GIB, Math.floor((quota - usage) / 2)));
}

/** Null where the browser does not tell. */
export async function estimateRoom(): Promise<RoomEstimate | null> {
  return (await globalThis.navigator?.storage?.estimate()) ?? null;
}
