import { expect, test } from "vitest";
import { ChatTemplate } from "./chat-template";
import { formatTime } from "./template-globals";

const render = (source: string) => new ChatTemplate(source, {}).render([], { addGenerationPrompt: false });

test.each([
  ["range(4)", "[0, 1, 2, 3]"],
  ["range(2, 5)", "[2, 3, 4]"],
  ["range(0, 5, 2)", "[0, 2, 4]"],
  ["range(5, 0, -2)", "[5, 3, 1]"],
  ["range(3, 1)", "[]"],
])("%s is %s", (call, list) => {
  expect(render(`{{ ${call} | list | tojson }}`)).toBe(list);
});

test("a range that never ends is refused", () => {
  expect(() => render("{{ range(0, 5, 0) }}")).toThrow("step must not be zero");
});

test("true, false and none in both spellings", () => {
  expect(render("{{ [true, True, false, False, none is none, None is none] | tojson }}")).toBe(
    "[true, true, false, false, true, true]",
  );
});

test("times in the letters that templates use, in English, two digits at least", () => {
  const date = new Date(2024, 2, 5, 7, 9);
  expect(formatTime(date, "%d %b %Y, %B; %Y-%m-%d %H:%M 100%% %q")).toBe(
    "05 Mar 2024, March; 2024-03-05 07:09 100% %q",
  );
});
