import { expect, test } from "vitest";
import { excerptOf } from "./excerpt";
import { STARTERS } from "./starters";

test("a short text is shown whole", () => {
  expect(excerptOf("a".repeat(420))).toBeNull();
});

test("a long prompt keeps its start, cut between words, and its question", () => {
  expect(excerptOf(STARTERS[1].prompt)).toEqual({
    head: "Read these stories.\nIn a forest there lived a quiet sailor. His name was Toby. His best friend was a dolphin named Amy. Soon it would be the birthday of Amy. Toby wanted to make a",
    tail: "What did Zoe want to learn?",
  });
});

test("one endless line has no tail", () => {
  expect(excerptOf("x".repeat(500))).toEqual({ head: "x".repeat(180), tail: "" });
});
