import type { ChatMessage, MessageToolCall } from "../../protocol/messages";
import {
  aFilledString,
  anArray,
  anObject,
  aString,
  type Check,
  type Fields,
  invalid,
  optional,
  refuseUnknown,
  unsupported,
} from "../checks";
import { aName } from "./more-checks";
import { functionOf } from "./validate-tools";

const ROLES = ["system", "developer", "user", "assistant", "tool"];

/**
 * Checks `messages` and brings each message's content to one string, and a call's arguments to JSON values. A message of a tool gets the
 * name of the function that it answers for. Errors name the path, as in `messages[1].content`.
 */
export function validateMessages(value: unknown): readonly ChatMessage[] {
  const messages = anArray(value, "messages");
  if (messages.length === 0) throw invalid("messages", "an array of at least one message");
  const calledNames = new Map<string, string>();
  return messages.map((message, index) => validateMessage(message, `messages[${index}]`, calledNames));
}

/** `calledNames`: of the calls so far, by id. */
function validateMessage(value: unknown, path: string, calledNames: Map<string, string>): ChatMessage {
  const message = anObject(value, path);
  const own = `${path}.`;
  const role = validateRole(message.role, `${own}role`);
  if (role === "assistant") return validateAnswer(message, own, calledNames);
  refuseUnknown(message, ["role", "content", role === "tool" ? "tool_call_id" : "name"], own);
  const content = validateContent(message.content, `${own}content`);
  if (role === "tool") {
    const id = aString(message.tool_call_id, `${own}tool_call_id`);
    const name = calledNames.get(id);
    if (name === undefined) throw invalid(`${own}tool_call_id`, "the id of a call in an earlier message");
    return { role, content, name, tool_call_id: id };
  }
  return { role: role === "developer" ? "system" : role, content, ...optionalField(message, "name", own) };
}

function validateAnswer(message: Fields, own: string, calledNames: Map<string, string>): ChatMessage {
  const { annotations, ...fields } = message;
  // Answers of other servers have them, empty.
  if (annotations !== undefined && annotations !== null && anArray(annotations, `${own}annotations`).length > 0) {
    throw unsupported(`${own}annotations`);
  }
  refuseUnknown(fields, ["role", "content", "name", "tool_calls", "reasoning_content"], own);
  const calls = optional(fields, "tool_calls", toolCalls, own) ?? [];
  for (const { id, function: fn } of calls) calledNames.set(id, fn.name);
  const isCallOnly = calls.length > 0 && (fields.content === undefined || fields.content === null);
  return {
    role: "assistant",
    content: isCallOnly ? "" : validateContent(fields.content, `${own}content`),
    ...optionalField(fields, "name", own),
    ...optionalField(fields, "reasoning_content", own),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

const toolCalls: Check<readonly MessageToolCall[]> = (value, param) =>
  anArray(value, param).map((call, index) => {
    const path = `${param}[${index}]`;
    const fields = anObject(call, path);
    const fn = functionOf(fields, path, ["name", "arguments"], ["id"]);
    const own = `${path}.function.`;
    return {
      id: aFilledString(fields.id, `${path}.id`),
      type: "function",
      function: { name: aName(fn.name, `${own}name`), arguments: parsedArguments(fn.arguments, `${own}arguments`) },
    };
  });

const parsedArguments: Check<Fields> = (value, param) => {
  const expectation = "the JSON text of an object";
  try {
    return anObject(JSON.parse(aString(value, param)), param);
  } catch {
    throw invalid(param, expectation);
  }
};

function optionalField<Name extends "name" | "reasoning_content">(fields: Fields, name: Name, path: string) {
  const value = optional(fields, name, aString, path);
  return value === null ? {} : ({ [name]: value } as { readonly [K in Name]: string });
}

function validateRole(value: unknown, param: string): string {
  const role = aString(value, param);
  if (role === "function")
    throw unsupported(param, `Cairn does not support the role "function" in ${param}; use "tool".`);
  if (!ROLES.includes(role)) throw invalid(param, `one of ${ROLES.join(", ")}`);
  return role;
}

function validateContent(value: unknown, param: string): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) throw invalid(param, "a string or an array of text parts");
  return value.map((part, index) => validateTextPart(part, `${param}[${index}]`)).join("\n");
}

function validateTextPart(value: unknown, path: string): string {
  const part = anObject(value, path);
  const type = aString(part.type, `${path}.type`);
  if (type !== "text") throw unsupported(`${path}.type`, `Cairn reads text parts only; ${path}.type is "${type}".`);
  refuseUnknown(part, ["type", "text"], `${path}.`);
  return aString(part.text, `${path}.text`);
}
