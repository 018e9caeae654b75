import { Environment, Interpreter } from "@huggingface/jinja";

/**
 * Work that a template may do: one for every expression and statement, more for those that are slow. Templates of known
 * models take about 50 a message; this many take a second or two.
 */
const MAX_STEPS = 2 ** 20;
const STEPS_PER_LOOP_TURN = 8;
const STEPS_PER_UNKNOWN_NAME = 8;
const CHARS_PER_STEP = 256;
const ITEMS_PER_STEP = 64;
/** Macros within macros, blocks within blocks: far below the depth at which a thread's stack ends. */
const MAX_DEPTH = 400;
/** Longest text or list that a template may make, in characters or items. */
const MAX_LENGTH = 2 ** 24;
/** Longest range, as in Jinja's own sandbox. */
const MAX_RANGE = 100_000;

type Statement = Parameters<Interpreter["evaluate"]>[0];
type Value = ReturnType<Interpreter["evaluate"]>;
type Program = Parameters<Interpreter["run"]>[0];

/** Renders a parsed template. Throws where it fails, and where it takes more steps, depth or memory than a template needs. */
export function renderTemplate(program: Program, variables: Readonly<Record<string, unknown>>): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
  return String(new BoundedInterpreter(environment).run(program).value);
}

/** Counts what it evaluates, since nothing else can stop a loop on its own thread. */
class BoundedInterpreter extends Interpreter {
  readonly #iterables = new WeakSet<object>();
  #numSteps = 0;
  #depth = 0;

  override evaluate(statement: Statement, environment: Environment): Value {
    if (statement?.type === "For") this.#iterables.add(iterableOf(statement));
    if (++this.#depth > MAX_DEPTH) throw new Error(`it is nested more than ${MAX_DEPTH} deep`);
    try {
      const value = super.evaluate(statement, environment);
      this.#charge(statement, value);
      return value;
    } finally {
      this.#depth--;
    }
  }

  #charge(statement: Statement, { type, value }: Value): void {
    const length = typeof value === "string" || Array.isArray(value) ? value.length : 0;
    if (length > MAX_LENGTH) throw new Error(`it makes a text or list longer than ${MAX_LENGTH}`);
    this.#numSteps += 1 + length / (typeof value === "string" ? CHARS_PER_STEP : ITEMS_PER_STEP);
    if (statement && this.#iterables.has(statement)) this.#numSteps += length * STEPS_PER_LOOP_TURN;
    if (statement?.type === "Identifier" && type === "UndefinedValue") this.#numSteps += STEPS_PER_UNKNOWN_NAME;
    if (this.#numSteps > MAX_STEPS) throw new Error(`it takes more than ${MAX_STEPS} steps`);
  }
}

/** What a `for` runs over, as the interpreter evaluates it: without the condition that may follow. */
function iterableOf(loop: object): object {
  const { iterable } = loop as { iterable: { type: string; lhs?: object } };
  return iterable.type === "SelectExpression" && iterable.lhs ? iterable.lhs : iterable;
}

/** Names that every template may use. */
const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  raise_exception: (message: unknown) => {
    throw new Error(String(message));
  },
  strftime_now: (format: unknown) => formatDate(new Date(), String(format)),
} as const;

/** Python's range, of integers. */
function range(...bounds: unknown[]): number[] {
  if (!bounds.every((bound) => Number.isSafeInteger(bound))) throw new Error("range() takes integers");
  const [first = 0, second, step = 1] = bounds as number[];
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(step !== 0 && length <= MAX_RANGE)) throw new Error(`range() is longer than ${MAX_RANGE}, or its step is 0`);
  return Array.from({ length }, (_, index) => start + index * step);
}

/** The parts of Python's strftime that templates use, in the reader's own language. */
function formatDate(date: Date, format: string): string {
  const twoDigits = (count: number) => String(count).padStart(2, "0");
  const month = (width: "long" | "short") => date.toLocaleDateString(undefined, { month: width });
  const parts: Readonly<Record<string, string>> = {
    "%Y": String(date.getFullYear()),
    "%m": twoDigits(date.getMonth() + 1),
    "%d": twoDigits(date.getDate()),
    "%b": month("short"),
    "%B": month("long"),
    "%H": twoDigits(date.getHours()),
    "%M": twoDigits(date.getMinutes()),
    "%%": "%",
  };
  return format.replace(/%./g, (name) => parts[name] ?? name);
}
