import { CairnError } from "../util/errors";

/** What a `name=value` argument may be. */
interface OptionKind<T> {
  readonly fallback: T;
  /** Ends the sentence "name must be ...". */
  readonly words: string;
  readonly help: string;
  /** Undefined for a text that is not what `words` says. */
  parse(text: string): T | undefined;
}

function count(fallback: number, help: string): OptionKind<number> {
  const parse = (text: string) => (/^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined);
  return { fallback, words: "a positive integer", help, parse };
}

/** A count, or null where the word is given. */
function countOr(word: string, fallback: number | null, help: string): OptionKind<number | null> {
  const { words, parse } = count(1, help);
  return { fallback, words: `${words}, or ${word}`, help, parse: (text) => (text === word ? null : parse(text)) };
}

function quantity(fallback: number, help: string, max = Number.MAX_VALUE): OptionKind<number> {
  const parse = (text: string) =>
    /^\d+(\.\d+)?(e-?\d+)?$/.test(text) && Number(text) <= max ? Number(text) : undefined;
  return { fallback, words: max === Number.MAX_VALUE ? "a number of at least 0" : `from 0 to ${max}`, help, parse };
}

function flag(fallback: boolean, help: string): OptionKind<boolean> {
  const parse = (text: string) => (text === "true" ? true : text === "false" ? false : undefined);
  return { fallback, words: "true or false", help, parse };
}

/** The defaults are a laptop's GPU at about 100 GB/s and 2.5 TFLOPS that runs Llama 3.2 1B. */
const KINDS = {
  blockSize: count(16, "tokens in a block"),
  numBlocks: countOr("unlimited", 8192, "blocks of the pool, the null block included"),
  pageBytes: countOr("example", null, "bytes of a block; example is Llama 3.2 1B in f16, 32 KiB a token"),
  maxNumRunning: count(8, "requests that run at once"),
  maxNumBatchedTokens: count(512, "token budget of a step"),
  maxPrefillChunkTokens: countOr("none", null, "most prompt tokens of one request in a step"),
  maxModelLen: count(131_072, "longest prompt + completion, in tokens"),
  maxInFlightSteps: count(2, "steps submitted before the first of them is processed"),
  usePrefixCache: flag(true, "share blocks by content"),
  admissionWatermark: quantity(0.01, "share of the pool that an admission leaves free", 1),
  stepMs: quantity(10, "cost of a step"),
  tokenMs: quantity(1, "cost of each token of a step"),
  contextTokenMs: quantity(0.0003, "cost of each token of context that attention reads"),
  readbackMs: quantity(2, "from the end of a step until its ids are known"),
  timeScale: quantity(1, "stretches the time between arrivals"),
  numRequests: countOr("all", null, "requests of the trace to replay"),
} as const satisfies Record<string, OptionKind<number | boolean | null>>;

type Kinds = typeof KINDS;

/** Every setting of a simulation; `null` is no limit, or what the trace and the example model say. */
export type SimulatorOptions = {
  readonly [Name in keyof Kinds]: Kinds[Name] extends OptionKind<infer T> ? T : never;
};

export const DEFAULT_OPTIONS = Object.fromEntries(
  Object.entries(KINDS).map(([name, { fallback }]) => [name, fallback]),
) as SimulatorOptions;

/**
 * Reads `name=value` arguments over the defaults. Throws `unsupported_parameter` for a name that is no option, with the
 * list of those that are, and `invalid_request` for a value that an option cannot have.
 */
export function parseOptions(args: readonly string[]): SimulatorOptions {
  const given = args.map((arg) => {
    const separator = arg.indexOf("=");
    const [name, text] = separator < 0 ? [arg, ""] : [arg.slice(0, separator), arg.slice(separator + 1)];
    if (!Object.hasOwn(KINDS, name)) {
      const names = Object.keys(KINDS).join(", ");
      throw new CairnError("unsupported_parameter", `There is no option ${name}. Options: ${names}.`, { param: name });
    }
    const { words, parse } = KINDS[name as keyof Kinds];
    const value = parse(text);
    if (value === undefined) {
      throw new CairnError("invalid_request", `${name} must be ${words}, not "${text}".`, { param: name });
    }
    return [name, value];
  });
  return { ...DEFAULT_OPTIONS, ...Object.fromEntries(given) };
}

/** One line an option: its name with the default, and what it means. */
export function describeOptions(): string {
  const lines = Object.entries(KINDS).map(([name, { fallback, words, help }]) => {
    const word = words.split(", or ")[1];
    return `  ${`${name}=${fallback ?? word}`.padEnd(32)}${help}${fallback !== null && word ? `, or ${word}` : ""}`;
  });
  return lines.join("\n");
}
