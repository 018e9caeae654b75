import { expect, test } from "vitest";
import { Announcer, endOfSentences } from "./announcer";

const FIRST = 'Once there was a brave fox called Nina who lived in a farm. "Yum!"';

test("a sentence ends at its closing quote, and an unfinished one waits", () => {
  expect(endOfSentences(`${FIRST} said Nin`, 0)).toBe(FIRST.length);
});

test("short sentences are gathered", () => {
  expect(endOfSentences("One. Two. Three.", 0)).toBe(0);
});

test("a decimal point ends nothing", () => {
  const text = `${"a".repeat(80)} 3.5 is`;
  expect(endOfSentences(text, 0)).toBe(0);
});

test("an answer is announced once, in pieces, and its rest at the end", () => {
  const announcer = new Announcer();
  expect(announcer.next(1, FIRST, false)).toBe(FIRST);
  expect(announcer.next(1, `${FIRST} said`, false)).toBeNull();
  expect(announcer.next(1, `${FIRST} said Nina`, true)).toBe("said Nina");
  expect(announcer.next(1, `${FIRST} said Nina`, true)).toBeNull();
});

test("the next answer starts afresh", () => {
  const announcer = new Announcer();
  announcer.next(1, "A longer first answer", true);
  expect(announcer.next(2, "Seven", true)).toBe("Seven");
});
