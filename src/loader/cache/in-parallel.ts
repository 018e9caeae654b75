/** Works on all items, a few at a time. When one fails, the others are aborted; rejects with the first failure when all have ended. */
export async function inParallel<T>(
  maxAtOnce: number,
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const waiting = [...items];
  const failures: unknown[] = [];
  const lane = async () => {
    for (let item = waiting.shift(); item !== undefined && failures.length === 0; item = waiting.shift()) {
      await work(item, either).catch((failure) => {
        failures.push(failure);
        stop.abort(failure);
      });
    }
  };
  await Promise.all(Array.from({ length: maxAtOnce }, lane));
  if (failures.length > 0) throw failures[0];
}
