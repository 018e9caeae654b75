const GIB = 2 ** 30;
const MAX_SLACK_BYTES = 64 * 2 ** 20;

/** What the browser thinks of its room for this origin. */
export interface RoomEstimate {
  readonly quota?: number;
  readonly usage?: number;
}

/**
 * Half of what is free, 2 GiB at most; the bytes that are held count as free, or each session would shrink what the one before
 * has filled. An estimate is no promise: what the browser refuses later is the truth.
 */
export async function defaultMaxBytes(
  estimate: () => Promise<RoomEstimate | null>,
  heldBytes: number,
): Promise<number> {
  const { quota, usage = 0 } = (await estimate().catch(() => null)) ?? {};
  if (quota === undefined) return 2 * GIB;
  return Math.max(0, Math.min(2 * GIB, Math.floor((quota - usage + heldBytes) / 2)));
}

/** By so much a tab that does not lead may pass the cap. */
export function followerSlackBytes(maxBytes: number): number {
  return Math.min(maxBytes / 8, MAX_SLACK_BYTES);
}

/** Null where the browser does not tell. */
export async function estimateRoom(): Promise<RoomEstimate | null> {
  return (await globalThis.navigator?.storage?.estimate()) ?? null;
}
