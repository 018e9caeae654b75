import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { createEngine } from "cairn-llm";

/** A hub's id or a folder's URL. The model that comes with the repository is tiny: it knows short stories and little else. */
const modelName = new URLSearchParams(location.search).get("model") ?? "/models/cairn-stories-3M/";

const show = (id: string, text: string) => document.getElementById(id)?.append(text);

show("status", "Loading the model… ");
const engine = await createEngine({ model: modelName });
// The AI SDK's provider for OpenAI-compatible servers. The address is never contacted: all requests go to the engine in this page.
const cairn = createOpenAICompatible({
  name: "cairn",
  baseURL: "http://cairn/v1",
  fetch: engine.fetch,
  supportsStructuredOutputs: true,
});
const model = cairn(engine.info.modelId);

const { text } = await generateText({ model, prompt: "What is three plus four?", temperature: 0 });
show("text", text);

const { textStream } = streamText({ model, prompt: "Name four animals.", temperature: 0 });
for await (const piece of textStream) show("stream", piece);

// The model names the function and its arguments, the SDK calls `execute` here, and the model reads what it returned. A model that was
// trained to call functions decides by itself when to; the tiny one was not, so the first step is made to. Its arguments keep to the schema.
const animals = jsonSchema<{ animal: "fox" | "robot" }>({
  type: "object",
  properties: { animal: { type: "string", enum: ["fox", "robot"] } },
  required: ["animal"],
  additionalProperties: false,
});
const { steps } = await generateText({
  model,
  tools: {
    whereIs: tool({
      description: "Where an animal is now.",
      inputSchema: animals,
      execute: async ({ animal }) => `The ${animal} is in the garden.`,
    }),
  },
  prompt: "Where is the fox?",
  temperature: 0,
  maxOutputTokens: 100,
  stopWhen: stepCountIs(2),
  prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? { type: "tool", toolName: "whereIs" } : "none" }),
});
for (const { toolCalls, toolResults, text } of steps) {
  for (const { toolName, input } of toolCalls) show("tool", `called ${toolName}(${JSON.stringify(input)})\n`);
  for (const { output } of toolResults) show("tool", `returned ${JSON.stringify(output)}\n`);
  show("tool", text);
}

// The engine lets the model write nothing but what the schema allows, so even a tiny one gives an object that holds to it.
const { output } = await generateText({
  model,
  output: Output.object({
    schema: jsonSchema<{ hero: string; isBrave: boolean; numFriends: number }>({
      type: "object",
      properties: {
        hero: { type: "string", maxLength: 12 },
        isBrave: { type: "boolean" },
        numFriends: { type: "integer", minimum: 0, maximum: 9 },
      },
      required: ["hero", "isBrave", "numFriends"],
      additionalProperties: false,
    }),
  }),
  prompt: "A hero for a story.",
  temperature: 0,
  maxOutputTokens: 60,
});
show("object", JSON.stringify(output, null, 2));

await engine.dispose();
show("status", "Done.");
