/** Sets the time, on the clock of `now`, when `onDeadline` is called next; Infinity: never. The last call counts. */
export function deadlineTimer(now: () => number, onDeadline: () => void): (deadlineMs: number) => void {
  let setMs = Number.POSITIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (deadlineMs) => {
    if (deadlineMs === setMs) return;
    setMs = deadlineMs;
    clearTimeout(timer);
    if (deadlineMs === Number.POSITIVE_INFINITY) return;
    const call = () => {
      setMs = Number.POSITIVE_INFINITY;
      onDeadline();
    };
    timer = setTimeout(call, Math.max(0, deadlineMs - now()));
  };
}
