import type { Page } from "@playwright/test";
import { Ajv } from "ajv";
import type OpenAI from "openai";
import type { Clients } from "../fixtures/openai-clients";
import { expect } from "../test";

declare global {
  var clients: Clients;
}

/** The page whose `clients` are connected. */
export type GetPage = () => Page;

export const PROMPT = "Tell me of the dog that lost its ball in the big park near the river.";
const INSTRUCTIONS = "You tell short stories to children who know few words, and every story ends well.";
export const MESSAGES: OpenAI.Chat.ChatCompletionMessageParam[] = [
  { role: "system", content: INSTRUCTIONS },
  { role: "user", content: PROMPT },
];

/** Whatever a model writes that keeps to it, it ends soon. */
export const SCHEMA = {
  type: "object" as const,
  properties: {
    mood: { type: "string" as const, enum: ["happy", "sad"] },
    isOld: { type: "boolean" as const },
    legs: { type: "integer" as const, enum: [2, 4] },
  },
  required: ["mood", "isOld", "legs"],
  additionalProperties: false,
};
export const TOOL = {
  type: "function" as const,
  function: { name: "find_animal", description: "Finds an animal.", parameters: SCHEMA },
};
const isOfSchema = new Ajv().compile(SCHEMA);

/** JSON text that keeps to SCHEMA. */
export function expectOfSchema(text: string | null | undefined): void {
  expect(isOfSchema(JSON.parse(text ?? "")), text ?? "null").toBe(true);
}
