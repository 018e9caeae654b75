import { anObject, type Check, type Fields, invalid } from "../checks";

/** Of a function or a schema. */
export const aName: Check<string> = (value, param) => {
  if (typeof value !== "string" || !/^[\w-]{1,64}$/.test(value)) {
    throw invalid(param, "a string of 1 to 64 of a-z, A-Z, 0-9, _ and -");
  }
  return value;
};

/** An object as JSON.stringify would send it. */
export const aJsonObject: Check<Fields> = (value, param) => {
  const object = anObject(value, param);
  try {
    return anObject(JSON.parse(JSON.stringify(object)), param);
  } catch {
    throw invalid(param, "an object that JSON can hold");
  }
};
