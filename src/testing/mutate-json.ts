import type { Random } from "./random";

/** Stands in a JSON text where DEEP_JSON goes: JSON.stringify itself could not write so deep a value. */
const DEEP_MARK = "@deep@";
const DEEP_JSON = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;

const EXTREME_NUMBERS = [0, -1, 0.5, 3, 7, 1e9, 2 ** 31 - 1, 2 ** 31, 2 ** 53, 1e308, 5e-324, -1e300];

const VALUES: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => "",
  () => "x".repeat(5000),
  () => "__proto__",
  () => "length",
  () => "(",
  () => [],
  () => ({}),
  () => ({ length: 1e9 }),
  () => [null, 1, "a"],
  () => new Array(300).fill(0),
  () => DEEP_MARK,
];

/**
 * The text of a JSON value with a few faults: members removed, doubled, renamed, wrapped, swapped, given another type, an
 * extreme number, or 100,000 levels of arrays. The value itself is not changed.
 */
export function mutateJson(value: unknown, random: Random): string {
  const copy = { root: structuredClone(value) };
  for (let numFaults = random.int(1, 4); numFaults > 0; numFaults--) addFault(copy, random);
  const text = JSON.stringify(copy.root) ?? "";
  const doubled = random.int(0, 10) === 0 ? text.replace(/^\{("(?:[^"\\]|\\.)*":[^{}[\],]*),/, "{$1,$1,") : text;
  return doubled.replaceAll(`"${DEEP_MARK}"`, DEEP_JSON);
}

type Container = Record<string, unknown>;

function addFault(copy: Container, random: Random): void {
  const [holder, key] = pickMember(copy, random);
  const value = holder[key];
  switch (random.int(0, 8)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else if (holder !== copy) delete holder[key];
      return;
    case 1:
      holder[key] = [value];
      return;
    case 2:
      holder[key] = { type: value, value };
      return;
    case 3: {
      const [other, otherKey] = pickMember(copy, random);
      const taken = structuredClone(other[otherKey]);
      other[otherKey] = structuredClone(value);
      holder[key] = taken;
      return;
    }
    case 4:
      if (!Array.isArray(holder)) holder[`${key}_`] = value;
      return;
    case 5:
      holder[key] = VALUES[random.int(0, VALUES.length)]();
      return;
    default:
      holder[key] =
        typeof value === "number" && random.int(0, 2)
          ? value + random.int(-2, 3)
          : EXTREME_NUMBERS[random.int(0, EXTREME_NUMBERS.length)];
  }
}

/** A member at some depth; those near the root are likelier than the thousands of a vocabulary. */
function pickMember(copy: Container, random: Random): [holder: Container, key: string] {
  let holder = copy;
  let key = "root";
  for (;;) {
    const inner = holder[key];
    const keys = typeof inner === "object" && inner !== null ? Object.keys(inner) : [];
    if (keys.length === 0 || (holder !== copy && random.int(0, 4) === 0)) return [holder, key];
    holder = inner as Container;
    key = keys[random.int(0, keys.length)];
  }
}
