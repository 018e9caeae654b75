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

/** The library's interpreter with the steps that its types keep to themselves. */
const OpenInterpreter = Interpreter as unknown as new (
  environment: Environment,
) => {
  evaluate(statement: Statement, environment: Environment): Value;
  run(program: Program): Value;
  applyFilter(operand: Value, filter: FilterNode, environment: Environment): Value;
  evaluateBinaryExpression(node: Node, environment: Environment): Value;
  evaluateMemberExpression(node: Node, environment: Environment): Value;
};

/** Counts what it evaluates, since nothing else can stop a loop on its own thread. */
class BoundedInterpreter extends OpenInterpreter {
  /** Parts of the program that a loop runs over, those of which only a member is read, and what filters indent by. */
  readonly #iterables = new WeakSet<object>();
  readonly #owners = new WeakSet<object>();
  readonly #indents = new WeakSet<object>();
  /** Python's generators, which are no JSON, and texts that are safe in HTML: what joins them is escaped. */
  readonly #generators = new WeakSet<Value>();
  readonly #safe = new WeakSet<Value>();
  #numSteps = 0;
  #depth = 0;

  override evaluate(statement: Statement, environment: Environment): Value {
    const { ready } = Object(statement) as Partial<Ready>;
    if (ready) return ready;
    if (statement) this.#learnParts(statement as unknown as Node);
    if (++this.#depth > MAX_DEPTH) throw new Error(`it is nested more than ${MAX_DEPTH} deep`);
    try {
      const value = super.evaluate(statement, environment);
      // Loops take lists apart, but no tuples.
      if (value.type === "TupleValue") value.type = "ArrayValue";
      if (value.value instanceof Map) Object.assign(value.value, NO_TEXT);
      const known = value.type === "UndefinedValue" && this.#iterables.has(statement!) ? emptyList() : value;
      this.#charge(statement ?? {}, known);
      return known;
    } finally {
      this.#depth--;
    }
  }

  override applyFilter(operand: Value, filter: FilterNode, environment: Environment): Value {
    const name = filter.callee?.value ?? filter.value ?? "";
    const makesGenerator = /^(select|reject|map)/.test(name);
    if (makesGenerator && /^[NU]/.test(operand.type)) return emptyList();
    if (name === "tojson" && this.#generators.has(operand)) throw new Error("a generator is no JSON");
    if (name === "indent" && operand.type === "StringValue")
      operand = text(String(operand.value).replace(LINE_ENDS, "\n"));
    if (name === "string") return text(pythonText(operand));
    if (name === "list" && this.#generators.has(operand)) return listOf(operand.value as Value[]);
    const isTest = name === "select" || name === "reject";
    const result = isTest
      ? this.#choose(operand, filter, environment)
      : super.applyFilter(operand, filter, environment);
    if (makesGenerator) this.#generators.add(result);
    return name === "safe" ? this.#mark(text(String(result.value)), true) : result;
  }

  /** As Python has it, where the library has not. */
  override evaluateBinaryExpression(node: Node, environment: Environment): Value {
    const operator = node.operator!.value;
    if (!"+~*".includes(operator)) return super.evaluateBinaryExpression(node, environment);
    const [left, right] = [node.left, node.right].map((side) => this.evaluate(side as Statement, environment));
    const isText = left.type === "StringValue";
    if (isText && operator === "*") return text(String(left.value).repeat(Math.max(0, Number(right.value))));
    if (operator !== "~" && !(isText && operator === "+" && right.type === left.type)) {
      return super.evaluateBinaryExpression({ ...node, left: { ready: left }, right: { ready: right } }, environment);
    }
    const isSafe = this.#safe.has(left) || this.#safe.has(right);
    const write = (side: Value) => (isSafe && !this.#safe.has(side) ? escaped(pythonText(side)) : pythonText(side));
    return this.#mark(text(write(left) + write(right)), isSafe);
  }

  override evaluateMemberExpression(node: Node, environment: Environment): Value {
    const object = this.evaluate(node.object as Statement, environment);
    // A method goes before a key.
    const method = object.type === "ObjectValue" && !node.computed && object.builtins.get(node.property!.value);
    if (method) return method;
    try {
      return super.evaluateMemberExpression({ ...node, object: { ready: object } }, environment);
    } catch (thrown) {
      if (/^Cannot access property/.test(reasonOf(thrown))) return super.evaluate(undefined, environment);
      throw thrown;
    }
  }

  #mark(value: Value, isSafe: boolean): Value {
    if (isSafe) this.#safe.add(value);
    return value;
  }

  #choose(operand: Value, { callee, args = [], value: name }: FilterNode, environment: Environment): Value {
    const [test, other] = args.map((node) => this.evaluate(node as Statement, environment));
    const tests = environment.tests as unknown as Map<string, (value: Value, other?: Value) => boolean>;
    const holds = test ? tests.get(String(test.value)) : (value: Value) => value.__bool__().value;
    if (!holds || !Array.isArray(operand.value)) throw new Error("no such test");
    const isWanted = (callee?.value ?? name) === "select";
    return listOf(operand.value.filter((value: Value) => holds(value, other) === isWanted));
  }

  #learnParts({ type, iterable, object, filter }: Node): void {
    // The interpreter evaluates `list if condition` as the list, then the condition for each item.
    if (type === "For" && iterable) this.#iterables.add(iterable.lhs ?? iterable);
    if (type === "MemberExpression" && object) this.#owners.add(object);
    if (filter?.callee && /^(indent|tojson)$/.test(filter.callee.value)) {
      for (const argument of filter.args ?? []) this.#indents.add(Object(argument.key ? argument.value : argument));
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

/** As Python writes it, but for what is within lists and objects: that is JSON here. */
function pythonText(value: Value): string {
  if (value.type === "NullValue") return "None";
  const content = String(value);
  return value.type === "BooleanValue" ? content[0].toUpperCase() + content.slice(1) : content;
}

function emptyList(): Value {
  return new Environment().set("", []);
}

function listOf(values: Value[]): Value {
  return Object.assign(emptyList(), { value: values });
}

function text(value: string): Value {
  return new Environment().set("", value);
}

/** Where Python ends a line, control characters aside that no text has. */
const LINE_ENDS = /\r\n?|[\v\f\u0085\u2028\u2029]/g;

const ENTITIES: Readonly<Record<string, string>> = { "&": "amp", "<": "lt", ">": "gt", '"': "#34", "'": "#39" };
const escaped = (content: string) => content.replace(/[&<>"']/g, (char) => `&${ENTITIES[char]};`);

/** For the maps within objects: the interpreter would write "[object Map]" where an object is added to a text. They equal no text. */
const NO_TEXT = { toString: null, valueOf: Symbol };

/** In the place of a node: it was evaluated. */
interface Ready {
  readonly ready: Value;
}

/** What is read here of the nodes of a parsed template. */
interface Node {
  readonly type: string;
  readonly iterable?: { readonly lhs?: object };
  readonly object?: object;
  readonly filter?: FilterNode;
  readonly computed?: boolean;
  readonly property?: { readonly value: string };
  readonly left?: object;
  readonly right?: object;
  readonly operator?: { readonly value: string };
}

/** A filter by its name, or a call of it. */
interface FilterNode {
  readonly value?: string;
  readonly callee?: { readonly value: string };
  readonly args?: readonly Argument[];
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
