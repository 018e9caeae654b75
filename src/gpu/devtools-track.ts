/**
 * Draws an entry on a track of the group "Cairn" in the performance panel of browsers that show such tracks. Times are
 * milliseconds on the clock of performance.now().
 */
export function drawOnTrack(track: "GPU" | "Steps", label: string, startMs: number, endMs: number): void {
  const start = Math.max(0, startMs);
  const devtools = { dataType: "track-entry", trackGroup: "Cairn", track, color: "primary" };
  performance.measure(label, { start, end: Math.max(start, endMs), detail: { devtools } });
  performance.clearMeasures(label); // Traces have it by now; the page's own list would only grow.
}
