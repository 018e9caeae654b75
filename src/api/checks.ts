import { CairnError } from "../util/errors";

/** Returns the value when it fits; throws `invalid_request` or `unsupported_parameter` that names `param` otherwise. */
export type Check<T> = (value: unknown, param: string) => T;

export type Fields = Readonly<Record<string, unknown>>;

export function invalid(param: string, expectation: string): CairnError {
  return new CairnError("invalid_request", `${param} must be ${expectation}.`, { param });
}

export function unsupported(param: string, detail = `Cairn does not support ${param}.`): CairnError {
  return new CairnError("unsupported_parameter", detail, { param });
}

export const aString: Check<string> = (value, param) => {
  if (typeof value !== "string") throw invalid(param, "a string");
  return value;
};

export const aFilledString: Check<string> = (value, param) => {
  if (typeof value !== "string" || value === "") throw invalid(param, "a string that is not empty");
  return value;
};

export const aBoolean: Check<boolean> = (value, param) => {
  if (typeof value !== "boolean") throw invalid(param, "true or false");
  return value;
};

export const anObject: Check<Fields> = (value, param) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(param, "an object");
  return value as Fields;
};

export const anArray: Check<readonly unknown[]> = (value, param) => {
  if (!Array.isArray(value)) throw invalid(param, "an array");
  return value;
};

export const aSignal: Check<AbortSignal> = (value, param) => {
  if (!(value instanceof AbortSignal)) throw invalid(param, "an AbortSignal");
  return value;
};

export function aNumber(min: number, max: number): Check<number> {
  return (value, param) => {
    if (typeof value !== "number" || !(value >= min && value <= max)) {
      throw invalid(param, `a number from ${min} to ${max}`);
    }
    return value;
  };
}

export function anInteger(min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER): Check<number> {
  const least = min === Number.MIN_SAFE_INTEGER ? "an integer" : `an integer of at least ${min}`;
  const expectation = max === Number.MAX_SAFE_INTEGER ? least : `an integer from ${min} to ${max}`;
  return (value, param) => {
    if (!Number.isSafeInteger(value) || Number(value) < min || Number(value) > max) throw invalid(param, expectation);
    return Number(value);
  };
}

export function oneOf<T extends string>(...choices: readonly T[]): Check<T> {
  return (value, param) => {
    const choice = choices.find((candidate) => candidate === value);
    if (choice === undefined) throw invalid(param, `one of ${choices.map((c) => `"${c}"`).join(", ")}`);
    return choice;
  };
}

/** A field that may be absent; null and undefined both mean so. `path` is the owner's, with its dot. */
export function optional<T>(fields: Fields, name: string, check: Check<T>, path = ""): T | null {
  const value = fields[name];
  return value === undefined || value === null ? null : check(value, path + name);
}

/** Throws `unsupported_parameter` for the first field that is set and not in `known`. */
export function refuseUnknown(fields: Fields, known: readonly string[], path = ""): void {
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null && !known.includes(name)) throw unsupported(path + name);
  }
}
