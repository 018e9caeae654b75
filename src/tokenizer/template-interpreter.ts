import { Environment, Interpreter } from "@huggingface/jinja";
import { reasonOf } from "../util/errors";

/**
 * Work that a template may do: one for every expression and statement, more for those that are slow. Templates of known
 * models take about 50 a message; this many take a second or two.
 */
const MAX_STEPS = 2 ** 20;
const STEPS_PER_LOOP_TURN = 8;
const STEPS_PER_UNKNOWN_NAME = 8;
const UNITS_PER_STEP = 256;
const UNITS_PER_MEMBER = 4;
/** Macros within macros, blocks within blocks: far below the depth at which a thread's stack ends. */
const MAX_DEPTH = 400;
/** Largest text or list that a template may make, in characters, with those of a list's members. */
const MAX_SIZE = 2 ** 23;
const MAX_INDENT = 256;
/** Longest range, as in Jinja's own sandbox. */
const MAX_RANGE = 100_000;

type Statement = Parameters<Interpreter["evaluate"]>[0];
type Value = ReturnType<Interpreter["evaluate"]>;
type Program = Parameters<Interpreter["run"]>[0];

/** Renders a parsed template. Throws where it fails, and where it takes more steps, depth or memory than a template needs. */
export function renderTemplate(program: Program, variables: Readonly<Record<string, unknown>>): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
  // All environments share their tests.
  const tests = environment.tests as Map<string, (value: Value) => boolean>;
  tests.set("iterable", ({ type }) => !/^[BFIN]/.test(type));
  return String(new BoundedInterpreter(environment).run(program).value);
}

/** Counts what it evaluates, since nothing else can stop a loop on its own thread. */
class BoundedInterpreter extends Interpreter {
  /** Parts of the program that a loop runs over, those of which only a member is read, and what filters indent by. */
  readonly #iterables = new WeakSet<object>();
  readonly #owners = new WeakSet<object>();
  readonly #indents = new WeakSet<object>();
  #numSteps = 0;
  #depth = 0;

  override evaluate(statement: Statement, environment: Environment): Value {
    if (statement) this.#learnParts(statement as unknown as Node);
    if (++this.#depth > MAX_DEPTH) throw new Error(`it is nested more than ${MAX_DEPTH} deep`);
    try {
      const value = this.#evaluate(statement, environment);
      this.#charge(statement ?? {}, value);
      return value;
    } finally {
      this.#depth--;
    }
  }

  /** As Python has it, where the interpreter has not. */
  #evaluate(statement: Statement, environment: Environment): Value {
    try {
      const value = super.evaluate(statement, environment);
      // Loops take lists apart, but no tuples.
      if (value.type === "TupleValue") value.type = "ArrayValue";
      if (value.value instanceof Map) Object.assign(value.value, NO_TEXT);
      return value.type === "UndefinedValue" && this.#iterables.has(statement!) ? emptyList() : value;
    } catch (thrown) {
      const reason = reasonOf(thrown);
      if (/^Cannot access property/.test(reason)) return super.evaluate(undefined, environment);
      if (/^Cannot apply filter "(select|reject|map).*: [NU]/.test(reason)) return emptyList();
      throw thrown;
    }
  }

  #learnParts({ type, iterable, object, filter }: Node): void {
    // The interpreter evaluates `list if condition` as the list, then the condition for each item.
    if (type === "For" && iterable) this.#iterables.add(iterable.lhs ?? iterable);
    if (type === "MemberExpression" && object) this.#owners.add(object);
    if (filter?.callee && /^(indent|tojson)$/.test(filter.callee.value)) {
      for (const argument of filter.args) this.#indents.add(Object(argument.key ? argument.value : argument));
    }
  }

  #charge(statement: Partial<Node>, value: Value): void {
    this.#numSteps += this.#owners.has(statement) ? 1 : 1 + sizeOf(value) / UNITS_PER_STEP;
    if (this.#iterables.has(statement)) this.#numSteps += numItemsOf(value) * STEPS_PER_LOOP_TURN;
    if (statement.type === "Identifier" && value.type === "UndefinedValue") this.#numSteps += STEPS_PER_UNKNOWN_NAME;
    if (this.#indents.has(statement) && Number(value.value) > MAX_INDENT) {
      throw new Error(`it indents by more than ${MAX_INDENT}`);
    }
    if (this.#numSteps > MAX_STEPS) throw new Error(`it takes more than ${MAX_STEPS} steps`);
  }
}

function emptyList(): Value {
  return new Environment().set("", []);
}

/** For the maps within objects: the interpreter would write "[object Map]" where an object is added to a text. They equal no text. */
const NO_TEXT = { toString: null, valueOf: Symbol };

/** What is read here of the nodes of a parsed template. */
interface Node {
  readonly type: string;
  readonly iterable?: { readonly lhs?: object };
  readonly object?: object;
  readonly filter?: { readonly callee?: { readonly value: string }; readonly args: readonly Argument[] };
}

/** By name, where it has a key. */
interface Argument {
  readonly key?: object;
  readonly value?: unknown;
}

function numItemsOf({ value }: Value): number {
  return Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0;
}

/** Characters of all texts in a value and its members, each as often as it would be written; a member counts as some. */
function sizeOf(value: Value): number {
  let size = 0;
  const add = ({ value: content }: Value, depth: number): void => {
    size += typeof content === "string" ? content.length : UNITS_PER_MEMBER;
    if (size > MAX_SIZE) throw new Error(`it makes a text or list larger than ${MAX_SIZE}`);
    if (depth > MAX_DEPTH) throw new Error(`it makes a list nested more than ${MAX_DEPTH} deep`);
    if (Array.isArray(content) || content instanceof Map) for (const member of content.values()) add(member, depth + 1);
  };
  add(value, 0);
  return size;
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

/** The parts of Python's strftime that templates use; months in English, as models were trained on, whatever the reader's language. */
function formatDate(date: Date, format: string): string {
  const twoDigits = (count: number) => String(count).padStart(2, "0");
  const month = (width: "long" | "short") => date.toLocaleDateString("en", { month: width });
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
