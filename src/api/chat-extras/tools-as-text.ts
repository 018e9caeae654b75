import type { ChatInput, ChatMessage, MessageToolCall, ToolDefinition } from "../../protocol/messages";

/** As Google's documentation of Gemma has it, besides the list. */
const INSTRUCTIONS = `You have access to functions. If you decide to invoke any of the function(s), you MUST put it in the format of
{"name": function name, "parameters": dictionary of argument name and its value}

If you invoke several functions, put them in a list. You SHOULD NOT include any other text in the response if you call a function`;

/**
 * A conversation for a model whose chat template knows of no tools (tool format "json"): the tools and how to call them are a text
 * before the system message, or before the first user's where the template has no system role; calls are JSON in the
 * assistant's messages, and what they returned is the user's. Turns alternate where they did.
 */
export function toolsAsText({ tools, messages, ...input }: ChatInput, hasSystemRole: boolean): ChatInput {
  const turns = mergeResults(messages);
  return { ...input, messages: tools?.length ? introduceTools(turns, tools, hasSystemRole) : turns };
}

function introduceTools(
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
  hasSystemRole: boolean,
): readonly ChatMessage[] {
  const content = `${INSTRUCTIONS}\n${JSON.stringify(
    tools.map((tool) => tool.function),
    null,
    2,
  )}`;
  const role = hasSystemRole ? "system" : "user";
  const index = hasSystemRole ? 0 : messages.findIndex((message) => message.role === role);
  const message = messages[index];
  if (message?.role !== role) return [{ role, content }, ...messages];
  const introduced = { ...message, content: `${content}\n\n${message.content}` };
  return messages.with(index, introduced);
}

/** Calls and results as texts. The results of one turn are one message, with what the user says after them. */
function mergeResults(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const turns: ChatMessage[] = [];
  const names = new Map<string | undefined, string>();
  let hasResults = false;
  for (const { tool_calls: calls, tool_call_id: callId, ...message } of messages) {
    for (const call of calls ?? []) names.set(call.id, call.function.name);
    const isResult = message.role === "tool";
    const turn = isResult
      ? { role: "user", content: `${names.get(callId) ?? "function"} returned:\n${message.content}` }
      : { ...message, content: [message.content, callsText(calls ?? [])].filter(Boolean).join("\n") };
    const last = turns.at(-1);
    if (last && hasResults && turn.role === "user") {
      turns[turns.length - 1] = { ...last, content: `${last.content}\n\n${turn.content}` };
    } else {
      turns.push(turn);
    }
    hasResults = isResult;
  }
  return turns;
}

/** A call, or a list of them, on one line with a space behind each comma and colon, as grammars write it. */
function callsText(calls: readonly MessageToolCall[]): string {
  const written = calls.map(({ function: { name, arguments: parameters } }) => ({ name, parameters }));
  if (written.length === 0) return "";
  const json = JSON.stringify(written.length === 1 ? written[0] : written, null, 1);
  // Line breaks within strings are escaped, so these are all between the parts.
  return json.replace(/,\n */g, ", ").replace(/\n */g, "");
}
