import { describe, expect, it } from "vitest";
import type { ChatMessageParam } from "../openai-types";
import { alternating, fewestToDrop, numTurnsBefore, turnsOf, withoutOldest } from "./turns";

const ROLES = { s: "system", d: "developer", u: "user", a: "assistant", t: "tool" };
/** One message a letter: the role's first. */
const messages = (letters: string) =>
  [...letters].map((letter) => ({ role: ROLES[letter as keyof typeof ROLES] })) as ChatMessageParam[];

describe("turns", () => {
  it.each([
    ["suaua", [null, 0, 0, 1, 1]],
    ["uataua", [0, 0, 0, 0, 1, 1]],
    ["saua", [null, 0, 1, 1]],
    ["uuada", [0, 1, 1, null, 1]],
    ["s", [null]],
    ["", []],
  ])("of %s are %j", (letters, turns) => {
    expect(turnsOf(messages(letters))).toEqual(turns);
  });

  it.each([
    ["suauatua", 0, "suauatua"],
    ["suauatua", 1, "suatua"],
    ["suauatua", 2, "sua"],
    ["ausuada", 2, "suada"],
    ["suauatua", 3, "s"],
  ])("of %s without the oldest %i are %s", (letters, numTurns, left) => {
    expect(withoutOldest(messages(letters), numTurns)).toEqual(messages(left));
  });

  it.each([
    ["a question", "suaua", "u", 2],
    ["what a tool returned, which its question must stay with", "suaua", "t", 1],
    ["several", "suaua", "uau", 2],
    ["a system message", "suaua", "s", 2],
    ["a system message and a question", "suaua", "su", 2],
    ["something, where nothing was said", "s", "u", 0],
    ["something, where there is nothing", "", "ua", 0],
  ])("that end before %s", (_, before, added, numTurns) => {
    expect(numTurnsBefore(messages(before + added), before.length)).toBe(numTurns);
  });
});

describe("the fewest turns to drop", () => {
  it("are found with few questions", async () => {
    for (let max = 0; max <= 40; max++) {
      for (let least = 0; least <= max; least++) {
        const asked: number[] = [];
        const fits = async (numTurns: number) => {
          asked.push(numTurns);
          return numTurns >= least;
        };
        expect(await fewestToDrop(max, fits)).toBe(least);
        expect(asked.length).toBeLessThanOrEqual(1 + Math.ceil(Math.log2(max + 1)));
      }
    }
  });

  it("are all, where even those are too few", async () => {
    expect(await fewestToDrop(5, async () => false)).toBe(5);
  });
});

describe("what is sent", () => {
  const user = (content: unknown, name?: string) => ({ role: "user", content, name }) as ChatMessageParam;
  const answer = { role: "assistant", content: "b" } as const;
  const part = (text: string) => ({ type: "text", text });

  it("is the conversation, where its turns alternate", () => {
    const conversation = [{ role: "system", content: "s" } as const, user("a"), answer, user("c"), answer, answer];
    expect(alternating(conversation)).toEqual(conversation);
  });

  it("has one message for several of a user", () => {
    const conversation = [user("a"), user([part("b"), part("c")]), user("d"), answer, user("e"), user("f", "Eve")];
    const first = user(["a", "b", "c", "d"].map(part));
    expect(alternating(conversation)).toEqual([first, answer, user("e"), user("f", "Eve")]);
    expect(conversation[0]).toEqual(user("a"));
  });
});
