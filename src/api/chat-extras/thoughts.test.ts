import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cut } from "../../testing/cut";
import { Thoughts } from "./thoughts";

/** All that the pieces say together. */
function split(pieces: readonly string[], isThinking = false) {
  const thoughts = new Thoughts(isThinking);
  const all = [...pieces.map((piece) => thoughts.push(piece)), thoughts.end()];
  return [all.map(({ reasoning }) => reasoning).join(""), all.map(({ said }) => said).join("")];
}

describe("Thoughts", () => {
  it.each([
    ["<think>\nHm.\n</think>\n\nYes.", false, "Hm.", "Yes."],
    ["\n<think>Hm.\n\nSo.</think>Yes.\n", false, "Hm.\n\nSo.", "Yes.\n"],
    ["<think>\n\n</think>\n\nYes.", false, "", "Yes."],
    ["Hm.\n</think>\n\nYes.", true, "Hm.", "Yes."],
    ["</think>\n\nYes.", true, "", "Yes."],
    ["<think>Hm.", false, "Hm.", ""],
    ["Hm.\n</thi", true, "Hm.\n</thi", ""],
    ["Hm.\n", true, "Hm.", ""],
    [" Yes, <think> is a tag.</think>", false, "", " Yes, <think> is a tag.</think>"],
    ["  <thin", false, "", "  <thin"],
    ["<thinking>", false, "", "<thinking>"],
    ["\n", false, "", "\n"],
    ["<think>a</think>b</think>\n\nc", false, "a", "b</think>\n\nc"],
    ["", true, "", ""],
  ])("splits %j, begun in thoughts: %s", (text, isThinking, reasoning, said) => {
    expect(split([text], isThinking)).toEqual([reasoning, said]);
    expect(split([...text], isThinking)).toEqual([reasoning, said]);
  });

  it("tells of each piece as soon as it can be nothing else", () => {
    const thoughts = new Thoughts(false);
    expect(thoughts.push("<think>\nOne")).toEqual({ reasoning: "One", said: "" });
    expect(thoughts.push("\n")).toEqual({ reasoning: "", said: "" });
    expect([thoughts.push("two</"), thoughts.isThinking]).toEqual([{ reasoning: "\ntwo", said: "" }, true]);
    expect([thoughts.push("think>\n"), thoughts.isThinking]).toEqual([{ reasoning: "", said: "" }, false]);
    expect(thoughts.push("\nThree\n")).toEqual({ reasoning: "", said: "Three\n" });
  });

  it("says the same however the text is cut", () => {
    const part = fc.constantFrom("<think>", "</think>", "\n", "<", "</th", "ink>", "a b", " ");
    fc.assert(
      fc.property(fc.array(part), fc.boolean(), fc.array(fc.nat(8)), (parts, isThinking, cuts) => {
        const text = parts.join("");
        expect(split(cut(text, cuts), isThinking)).toEqual(split([text], isThinking));
      }),
    );
  });
});
