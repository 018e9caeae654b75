import { codePointsOf, ebnfSet, ebnfText, minus, PLAIN } from "./code-points";

/**
 * The texts of JSON strings, without quotes and escapes, that are none of these names, as EBNF: a property that is not declared must
 * not be called like one that is. `newRule` takes a rule's body and returns its name.
 */
export function otherKeys(names: readonly string[], newRule: (body: string) => string): string {
  const plain = ebnfSet(PLAIN).text;
  // A name with an escape in it is not written without.
  const own = names.filter((name) => JSON.stringify(name) === `"${name}"`).map((name) => [...name]);
  const beyond = (rests: readonly (readonly string[])[]): string => {
    const firsts = [...new Set(rests.flatMap(([first]) => first ?? []))];
    const others = ebnfSet(minus(PLAIN, codePointsOf(firsts.join("")))).text;
    const isName = rests.some((rest) => rest.length === 0);
    const branches = firsts.map((first) => {
      const next = rests.flatMap(([head, ...tail]) => (head === first ? [tail] : []));
      return `${ebnfText(first)} ${newRule(beyond(next))}`;
    });
    return [...(isName ? [] : ['""']), `${others} ${plain}*`, ...branches].join(" | ");
  };
  return newRule(beyond(own));
}
