import type { ChatMessage } from "../protocol/messages";
import { anArray, anObject, aString, invalid, optional, refuseUnknown, unsupported } from "./checks";

const ROLES = ["system", "developer", "user", "assistant"];
const ROLES_OF_TOOLS = ["tool", "function"];

/** Checks `messages` and brings each message's content to one string. Errors name the path, as in `messages[1].content`. */
export function validateMessages(value: unknown): readonly ChatMessage[] {
  const messages = anArray(value, "messages");
  if (messages.length === 0) throw invalid("messages", "an array of at least one message");
  return messages.map((message, index) => validateMessage(message, `messages[${index}]`));
}

function validateMessage(value: unknown, path: string): ChatMessage {
  const message = anObject(value, path);
  refuseUnknown(message, ["role", "content", "name"], `${path}.`);
  const role = validateRole(message.role, `${path}.role`);
  const content = validateContent(message.content, `${path}.content`);
  const name = optional(message, "name", aString, `${path}.`);
  return name === null ? { role, content } : { role, content, name };
}

function validateRole(value: unknown, param: string): string {
  const role = aString(value, param);
  if (ROLES_OF_TOOLS.includes(role)) throw unsupported(param, `Cairn does not support the role "${role}" in ${param}.`);
  if (!ROLES.includes(role)) throw invalid(param, `one of ${ROLES.join(", ")}`);
  return role === "developer" ? "system" : role;
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
