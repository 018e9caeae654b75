/** What a `name=value` argument may be. */
export interface OptionKind<T> {
  readonly fallback: T;
  /** Ends the sentence "name must be ...". */
  readonly words: string;
  readonly help: string;
  /** Undefined for a text that is not what `words` says. */
  parse(text: string): T | undefined;
}

export function count(fallback: number, help: string): OptionKind<number> {
  const parse = (text: string) => (/^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined);
  return { fallback, words: "a positive integer", help, parse };
}

/** A count, or null where the word is given. */
export function countOr(word: string, fallback: number | null, help: string): OptionKind<number | null> {
  const { words, parse } = count(1, help);
  return { fallback, words: `${words}, or ${word}`, help, parse: (text) => (text === word ? null : parse(text)) };
}

export function quantity(fallback: number, help: string, max = Number.MAX_VALUE): OptionKind<number> {
  const parse = (text: string) =>
    /^\d+(\.\d+)?(e-?\d+)?$/.test(text) && Number(text) <= max ? Number(text) : undefined;
  return { fallback, words: max === Number.MAX_VALUE ? "a number of at least 0" : `from 0 to ${max}`, help, parse };
}

export function flag(fallback: boolean, help: string): OptionKind<boolean> {
  const parse = (text: string) => (text === "true" ? true : text === "false" ? false : undefined);
  return { fallback, words: "true or false", help, parse };
}

/** The first is the default. */
export function choice<const V extends readonly string[]>(values: V, help: string): OptionKind<V[number]> {
  const parse = (text: string): V[number] | undefined => values.find((value) => value === text);
  return { fallback: values[0], words: `one of ${values.join(", ")}`, help: `${help}: ${values.join(", ")}`, parse };
}
