import type { Percentiles } from "./samples";

/** 0 where there is nothing to divide by. */
export function ratio(numerator: number, denominator: number): number {
  return denominator > 0 ? numerator / denominator : 0;
}

/** At most three digits behind the point, fewer for larger numbers. */
export function show(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 3 : 1 });
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export function mib(bytes: number): string {
  return show(bytes / 2 ** 20);
}

export function showPercentiles(percentiles: Percentiles | null): string {
  if (percentiles === null) return "none";
  const { p50, p90, p99, max } = percentiles;
  return `p50 ${show(p50)}, p90 ${show(p90)}, p99 ${show(p99)}, max ${show(max)}`;
}
