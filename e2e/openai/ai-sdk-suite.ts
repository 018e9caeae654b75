import { expect, test } from "../test";
import { expectOfSchema, type GetPage, PROMPT, SCHEMA } from "./cases";

/** The AI SDK, over its provider for compatible servers. */
export function aiSdkSuite(page: GetPage): void {
  test("generateText and streamText, with their usage", async () => {
    const { whole, streamed } = await page().evaluate(async (prompt) => {
      const { ai, provider, model } = clients;
      const ask = { model: provider(model), prompt, maxOutputTokens: 6, temperature: 0 };
      const { text, usage, finishReason } = await ai.generateText(ask);
      const stream = ai.streamText(ask);
      const pieces = await clients.collect(stream.textStream);
      return { whole: { text, usage, finishReason }, streamed: { pieces, usage: await stream.usage } };
    }, PROMPT);
    expect(whole.text).toMatch(/\S/);
    expect(streamed.pieces.join("")).toBe(whole.text);
    expect(streamed.pieces.length).toBeGreaterThan(1);
    expect(["stop", "length"]).toContain(whole.finishReason);
    for (const { inputTokens, outputTokens, totalTokens, inputTokenDetails } of [whole.usage, streamed.usage]) {
      expect(totalTokens).toBe(inputTokens! + outputTokens!);
      expect(outputTokens).toBeLessThanOrEqual(6);
      expect(inputTokenDetails.cacheReadTokens).toBeLessThan(inputTokens!);
    }
    expect(streamed.usage.inputTokenDetails.cacheReadTokens).toBeGreaterThan(0);
  });

  test("an object, and tools over two steps", async () => {
    const { output, steps, ran } = await page().evaluate(
      async ({ prompt, schema }) => {
        const { ai, provider, model } = clients;
        const ask = { model: provider(model), prompt, maxOutputTokens: 100 };
        const animal = ai.jsonSchema<object>(schema);
        const { output } = await ai.generateText({ ...ask, output: ai.Output.object({ schema: animal }) });
        const ran: object[] = [];
        const execute = async (input: object) => `${ran.push(input)} found`;
        const find_animal = ai.tool({ description: "Finds an animal.", inputSchema: animal, execute });
        const { steps } = await ai.generateText({
          ...ask,
          tools: { find_animal },
          toolChoice: "required",
          providerOptions: { target: { parallel_tool_calls: false } },
          stopWhen: ai.stepCountIs(2),
          prepareStep: ({ stepNumber }) => (stepNumber === 0 ? {} : { toolChoice: "none" }),
        });
        const told = steps.map(({ toolCalls, toolResults, finishReason }) => ({
          calls: toolCalls.map(({ toolName }) => toolName),
          results: toolResults.map(({ output }) => output),
          finishReason,
        }));
        return { output, ran, steps: told };
      },
      { prompt: PROMPT, schema: SCHEMA },
    );
    for (const value of [output, ...ran]) expectOfSchema(JSON.stringify(value));
    expect(ran).toHaveLength(1);
    expect(steps[0]).toEqual({ calls: ["find_animal"], results: ["1 found"], finishReason: "tool-calls" });
    expect(steps[1]).toMatchObject({ calls: [], results: [] });
  });

  test("thoughts, errors and aborts", async () => {
    const seen = await page().evaluate(async (prompt) => {
      const { ai, provider, model } = clients;
      const providerOptions = { target: { chat_template_kwargs: { enable_thinking: true } } };
      const ask = { model: provider(model), prompt, maxRetries: 0 };
      const { reasoningText } = await ai.generateText({ ...ask, maxOutputTokens: 5, providerOptions });
      const error = await ai.generateText({ ...ask, model: provider("no-such") }).catch((thrown) => thrown);
      const { statusCode, isRetryable } = error as InstanceType<typeof ai.APICallError>;
      const isApiError = ai.APICallError.isInstance(error);
      const controller = new AbortController();
      const stream = ai.streamText({ ...ask, maxOutputTokens: 400, abortSignal: controller.signal });
      const parts: string[] = [];
      for await (const part of stream.fullStream) {
        parts.push(part.type);
        if (part.type === "text-delta") controller.abort();
      }
      return { reasoningText, isApiError, statusCode, isRetryable, last: parts.at(-1) };
    }, PROMPT);
    expect(seen).toMatchObject({ isApiError: true, statusCode: 404, isRetryable: false, last: "abort" });
    expect(seen.reasoningText).toMatch(/\S/);
  });
}
