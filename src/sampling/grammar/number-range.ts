/** What a number may be; null is no bound. Bounds are at most MAX_NUMBER_BOUND, either way. */
export interface NumberRange {
  readonly min: Bound | null;
  readonly max: Bound | null;
}

export interface Bound {
  readonly value: number;
  readonly isExclusive: boolean;
}

export const MAX_NUMBER_BOUND = 1e15;

/** Digits before the point, and behind it: as many as a double tells apart, so that a model that goes astray comes to an end. */
const MAX_DIGITS = 16;

/** A decimal number from 0 on. */
interface Decimal {
  readonly whole: bigint;
  /** The digits behind the point, without zeros at their end. */
  readonly fraction: string;
  readonly isExclusive: boolean;
}

const ZERO: Decimal = { whole: 0n, fraction: "", isExclusive: false };

/** The JSON texts of the numbers of a range, without exponents, as EBNF; null if there are none. */
export function numberGrammar({ min, max }: NumberRange, isInteger: boolean): string | null {
  const magnitudes = isInteger ? integers : decimals;
  const parts: string[] = [];
  if (!max || max.value >= 0) {
    const positive = magnitudes(min && min.value > 0 ? decimalOf(min) : zeroOf(min), max && decimalOf(max));
    if (positive !== null) parts.push(positive);
  }
  if (!min || min.value < 0) {
    // "-0" is a number too, but nobody's wish.
    const nearest = max && max.value < 0 ? decimalOf(max) : { ...ZERO, isExclusive: true };
    const negative = magnitudes(nearest, min && decimalOf(min));
    if (negative !== null) parts.push(`"-" (${negative})`);
  }
  return parts.length > 0 ? parts.join(" | ") : null;
}

/** The least that is not negative, where `min` is not above 0. */
function zeroOf(min: Bound | null): Decimal {
  return { ...ZERO, isExclusive: min?.value === 0 && min.isExclusive };
}

function decimalOf({ value, isExclusive }: Bound): Decimal {
  const text = String(Math.abs(value));
  const [whole, fraction = ""] = (text.includes("e") ? Math.abs(value).toFixed(100) : text).split(".");
  return { whole: BigInt(whole), fraction: fraction.replace(/0+$/, ""), isExclusive };
}

function integers(low: Decimal, high: Decimal | null): string | null {
  const first = low.whole + (low.fraction !== "" || low.isExclusive ? 1n : 0n);
  return wholes(first, high && high.whole - (high.isExclusive && high.fraction === "" ? 1n : 0n));
}

/** Whole parts strictly between those of the bounds go with any fraction; those of the bounds with some. */
function decimals(low: Decimal, high: Decimal | null): string | null {
  const parts: (string | null)[] = [];
  if (high && low.whole === high.whole) {
    parts.push(withFraction(low.whole, low, high));
  } else if (!high || low.whole < high.whole) {
    parts.push(withFraction(low.whole, low, null));
    const between = wholes(low.whole + 1n, high && high.whole - 1n);
    parts.push(between && `(${between}) ("." [0-9]{1,${MAX_DIGITS}})?`);
    if (high) parts.push(withFraction(high.whole, null, high));
  }
  return alternatives(parts);
}

function withFraction(whole: bigint, low: Decimal | null, high: Decimal | null): string | null {
  const digits = nextDigits(low, high, low?.fraction ?? null, high?.fraction ?? null, MAX_DIGITS);
  const hasNone = mayEnd(low, high, low?.fraction ?? null, high?.fraction ?? null);
  const fraction = alternatives([hasNone ? '""' : null, digits && `"." (${digits})`]);
  return fraction && `"${whole}" (${fraction})`;
}

/**
 * What may follow in a fraction that so far equals its bounds: `low` and `high` are what these have left, null for one that it is
 * past. At most `numLeft` digits.
 */
function moreDigits(
  a: Decimal | null,
  b: Decimal | null,
  low: string | null,
  high: string | null,
  numLeft: number,
): string | null {
  if (low === null && high === null) return `[0-9]{0,${numLeft}}`;
  const digits = numLeft > 0 ? nextDigits(a, b, low, high, numLeft) : null;
  return alternatives([mayEnd(a, b, low, high) ? '""' : null, digits]);
}

/** Like `moreDigits`, but at least one. */
function nextDigits(
  a: Decimal | null,
  b: Decimal | null,
  low: string | null,
  high: string | null,
  numLeft: number,
): string | null {
  const least = Number(low?.[0] ?? 0);
  const greatest = high === null ? 9 : Number(high[0] ?? 0);
  const parts: (string | null)[] = [];
  for (let digit = least; digit <= greatest; digit++) {
    const lowLeft = digit === least ? (low?.slice(1) ?? null) : null;
    const highLeft = digit === greatest ? (high?.slice(1) ?? null) : null;
    const rest = moreDigits(a, b, lowLeft, highLeft, numLeft - 1);
    parts.push(rest && `"${digit}" (${rest})`);
  }
  return alternatives(parts);
}

/** Whether zeros without end keep the bounds. */
function mayEnd(a: Decimal | null, b: Decimal | null, low: string | null, high: string | null): boolean {
  const keepsLow = low === null || (low === "" && !a?.isExclusive);
  return keepsLow && !(high === "" && b?.isExclusive);
}

/** Whole numbers from `first` on, from 0 at the least. */
function wholes(first: bigint, last: bigint | null): string | null {
  if (last !== null && first > last) return null;
  const parts: string[] = [];
  for (let numDigits = 1; numDigits <= MAX_DIGITS; numDigits++) {
    const least = numDigits === 1 ? 0n : 10n ** BigInt(numDigits - 1);
    const greatest = 10n ** BigInt(numDigits) - 1n;
    const from = first > least ? first : least;
    const to = last !== null && last < greatest ? last : greatest;
    if (from <= to) parts.push(digitStrings(String(from), String(to)));
  }
  return alternatives(parts);
}

/** Digit strings from `from` to `to`, which are equally long. */
function digitStrings(from: string, to: string): string {
  const numMore = from.length - 1;
  if (/^0*$/.test(from.slice(1)) && /^9*$/.test(to.slice(1))) {
    return numMore > 0 ? `[${from[0]}-${to[0]}] [0-9]{${numMore}}` : `[${from[0]}-${to[0]}]`;
  }
  if (from[0] === to[0]) return `"${from[0]}" (${digitStrings(from.slice(1), to.slice(1))})`;
  const between = [Number(from[0]) + 1, Number(to[0]) - 1];
  const parts = [
    digitStrings(from, from[0] + "9".repeat(numMore)),
    between[0] <= between[1] ? `[${between[0]}-${between[1]}] [0-9]{${numMore}}` : null,
    digitStrings(to[0] + "0".repeat(numMore), to),
  ];
  return alternatives(parts)!;
}

function alternatives(parts: readonly (string | null)[]): string | null {
  const some = parts.filter((part) => part !== null);
  return some.length > 0 ? some.join(" | ") : null;
}
