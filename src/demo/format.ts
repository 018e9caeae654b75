import type { TokensByTier } from "../index";

const integers = new Intl.NumberFormat("en");

/** 1234 -> "1,234". */
export function formatInteger(value: number): string {
  return integers.format(value);
}

/** Bytes as decimal megabytes with one digit, "6.6 MB"; gigabytes from 1,000 MB on. */
export function formatBytes(bytes: number): string {
  const megabytes = bytes / 1e6;
  return megabytes < 1000 ? `${megabytes.toFixed(1)} MB` : `${(megabytes / 1000).toFixed(2)} GB`;
}

/** Bytes that are known roughly: "270 MB", "2.2 GB". */
export function formatAboutBytes(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** A model's size as people say it: "260 K", "3.3 M", "1.2 B". */
export function formatParameters(count: number): string {
  if (count < 1e6) return `${Math.round(count / 1e3)} K`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} M` : `${(count / 1e9).toFixed(1)} B`;
}

/** Milliseconds below a second, else seconds with one digit. */
export function formatDuration(milliseconds: number): string {
  return milliseconds < 999.5 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** How long something still takes, roughly: "12 s", "3 min", "1 h 20 min". */
export function formatTimeLeft(seconds: number): string {
  if (seconds < 59.5) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "1 token", "2 tokens". */
export function countOf(count: number, noun: string): string {
  return `${formatInteger(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Where a prompt's KV came from, by its tokens: "all computed", "14 computed, 64 on the GPU, 32 from RAM, 16 from storage". */
export function formatSources(numPromptTokens: number, { gpu, host, storage }: TokensByTier): string {
  const computed = numPromptTokens - gpu - host - storage;
  if (computed === numPromptTokens) return "all computed";
  const sources = [
    [computed, "computed"],
    [gpu, "on the GPU"],
    [host, "from RAM"],
    [storage, "from storage"],
  ] as const;
  return sources.flatMap(([count, where]) => (count > 0 ? `${formatInteger(count)} ${where}` : [])).join(", ");
}
