import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StopMatcher } from "./stop-matcher";

function run(stops: readonly string[], pieces: readonly string[]) {
  const matcher = new StopMatcher(stops);
  const shown = pieces.map((piece) => matcher.push(piece));
  return { shown, rest: matcher.flush(), matched: matcher.matched };
}

describe("StopMatcher", () => {
  it("passes text through when there are no stop strings", () => {
    expect(run([], ["ab", "", "c"])).toEqual({ shown: ["ab", "", "c"], rest: "", matched: false });
  });

  it("finds a stop string inside one piece and drops what follows", () => {
    expect(run(["END"], ["oneENDtwo", "three"])).toEqual({ shown: ["one", ""], rest: "", matched: true });
  });

  it("holds back a suffix that could begin a stop string", () => {
    expect(run(["\n\n"], ["a\n", "b\n", "\nc"])).toEqual({ shown: ["a", "\nb", ""], rest: "", matched: true });
  });

  it("gives held text back at the end", () => {
    expect(run(["stop"], ["a st", "o"])).toEqual({ shown: ["a ", ""], rest: "sto", matched: false });
  });

  it("holds on to the longest candidate and lets its beginning go when it fails", () => {
    expect(run(["aab"], ["a", "a", "a", "b"])).toEqual({ shown: ["", "", "a", ""], rest: "", matched: true });
  });

  it("ends at the stop string that is complete first, though another began before it", () => {
    expect(run(["abc", "b"], ["abc"])).toEqual({ shown: ["a"], rest: "", matched: true });
  });

  it("takes the longest of those that end together", () => {
    expect(run(["c", "bc"], ["abc"])).toEqual({ shown: ["a"], rest: "", matched: true });
  });

  it("says the same however the text is cut", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 0, maxLength: 30 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(letters, stops, fc.array(fc.nat(5), { maxLength: 30 }), (text, stops, cuts) => {
        const pieces: string[] = [];
        let at = 0;
        for (const cut of cuts) {
          pieces.push(text.slice(at, at + cut));
          at += cut;
        }
        pieces.push(text.slice(at));
        const whole = run(stops, [...text]);
        const cutUp = run(stops, pieces);
        expect(cutUp.shown.join("") + cutUp.rest).toBe(whole.shown.join("") + whole.rest);
        expect(cutUp.matched).toBe(whole.matched);
        expect(whole.matched).toBe(stops.some((stop) => text.includes(stop)));
        for (const stop of stops) expect((cutUp.shown.join("") + cutUp.rest).includes(stop)).toBe(false);
      }),
    );
  });
});
