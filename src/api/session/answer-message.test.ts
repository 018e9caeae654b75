import { expect, it } from "vitest";
import type { ChatDelta } from "../openai-types";
import { AnswerMessage } from "./answer-message";

function messageOf(...deltas: readonly ChatDelta[]) {
  const answer = new AnswerMessage();
  for (const delta of deltas) answer.push(delta);
  return answer.message;
}

it("a streamed answer becomes the message that it would be as a whole: text, thoughts, calls", () => {
  expect(messageOf({ role: "assistant", content: "" })).toEqual({ role: "assistant", content: "" });
  const thoughts = [{ reasoning_content: "Hm" }, { reasoning_content: "m" }, { content: "Y" }, { content: "es" }];
  expect(messageOf(...thoughts)).toEqual({ role: "assistant", content: "Yes", reasoning_content: "Hmm" });
  const begin = (index: number, id: string, name: string) => {
    return { tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] } as const;
  };
  const more = (index: number, piece: string) => ({ tool_calls: [{ index, function: { arguments: piece } }] });
  const calls = [begin(0, "a", "add"), more(0, '{"x'), more(0, '":1}'), begin(1, "b", "now"), more(1, "{}")];
  const tool_calls = [
    { id: "a", type: "function", function: { name: "add", arguments: '{"x":1}' } },
    { id: "b", type: "function", function: { name: "now", arguments: "{}" } },
  ];
  expect(messageOf({ content: "" }, ...calls)).toEqual({ role: "assistant", content: null, tool_calls });
  expect(messageOf({ content: "Well" }, ...calls)).toEqual({ role: "assistant", content: "Well", tool_calls });
});
