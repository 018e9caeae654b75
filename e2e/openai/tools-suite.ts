import { expect, test } from "../test";
import { expectOfSchema, type GetPage, MESSAGES, SCHEMA, TOOL } from "./cases";

/** OpenAI's own client: answers that keep to a schema, calls, thoughts. */
export function toolsSuite(page: GetPage): void {
  test("an answer that keeps to a schema", async () => {
    const [choice] = await page().evaluate(
      async ({ messages, schema }) => {
        const { openai, model } = clients;
        const json_schema = { name: "animal", schema, strict: true };
        const response_format = { type: "json_schema", json_schema } as const;
        return (await openai.chat.completions.create({ model, messages, response_format, max_tokens: 100 })).choices;
      },
      { messages: MESSAGES, schema: SCHEMA },
    );
    expect(choice?.finish_reason).toBe("stop");
    expectOfSchema(choice?.message.content);
  });

  test("a tool is called, and what it returned is answered", async () => {
    const { called, final } = await page().evaluate(
      async ({ messages, tool }) => {
        const { openai, model } = clients;
        const body = { model, tools: [tool], parallel_tool_calls: false, max_tokens: 100 };
        const called = await openai.chat.completions.create({ ...body, messages, tool_choice: "required" });
        const { message } = called.choices[0]!;
        const returned = message.tool_calls!.map(({ id }) => ({
          role: "tool" as const,
          tool_call_id: id,
          content: "a brown dog",
        }));
        const conversation = [...messages, message, ...returned];
        const rest = { ...body, messages: conversation, tool_choice: "none", max_tokens: 6 } as const;
        return { called: called.choices, final: (await openai.chat.completions.create(rest)).choices };
      },
      { messages: MESSAGES, tool: TOOL },
    );
    expect(called[0]?.finish_reason).toBe("tool_calls");
    expect(called[0]?.message.tool_calls).toMatchObject([
      { id: expect.stringMatching(/./), type: "function", function: { name: "find_animal" } },
    ]);
    const call = called[0]?.message.tool_calls?.[0];
    expectOfSchema(call?.type === "function" ? call.function.arguments : null);
    expect(final[0]?.message.content).toMatch(/\S/);
    expect(final[0]?.message.tool_calls ?? []).toEqual([]);
  });

  test("a tool's call is streamed, and the helpers put it together and run it", async () => {
    const seen = await page().evaluate(
      async ({ messages, tool }) => {
        const { openai, model } = clients;
        const body = { model, messages: [...messages], max_tokens: 100 };
        const tool_choice = { type: "function", function: { name: tool.function.name } } as const;
        const stream = openai.chat.completions.stream({ ...body, tools: [tool], tool_choice });
        const deltas: unknown[] = [];
        stream.on("chunk", ({ choices }) => deltas.push(...(choices[0]?.delta.tool_calls ?? [])));
        const streamed = await stream.finalMessage();
        const ran: string[] = [];
        const run = (text: string) => `${ran.push(text)} found`;
        const runnable = { type: "function", function: { ...tool.function, function: run } } as const;
        const runner = openai.chat.completions.runTools({ ...body, tools: [runnable], tool_choice });
        await runner.done();
        return { deltas, calls: streamed.tool_calls, ran, messages: runner.messages };
      },
      { messages: MESSAGES, tool: TOOL },
    );
    expect(seen.deltas[0]).toMatchObject({ index: 0, id: expect.stringMatching(/./), type: "function" });
    expect(seen.deltas.length).toBeGreaterThan(1);
    const [call] = seen.calls ?? [];
    expect(seen.calls).toHaveLength(1);
    expectOfSchema(call?.type === "function" ? call.function.arguments : null);
    expect(seen.ran).toHaveLength(1);
    expectOfSchema(seen.ran[0]);
    expect(seen.messages.at(-1)).toMatchObject({ role: "tool", content: "1 found" });
  });

  test("thoughts come apart from the answer", async () => {
    const { whole, deltas, usage } = await page().evaluate(async (messages) => {
      const { openai, model } = clients;
      const body = { model, messages, max_tokens: 5, chat_template_kwargs: { enable_thinking: true } };
      const { choices, usage } = await openai.chat.completions.create(body);
      const chunks = await clients.collect(await openai.chat.completions.create({ ...body, stream: true }));
      return { whole: choices[0]?.message, deltas: chunks.map(({ choices }) => choices[0]?.delta), usage };
    }, MESSAGES);
    expect(whole).toMatchObject({ reasoning_content: expect.stringMatching(/\S/) });
    expect(usage?.completion_tokens_details?.reasoning_tokens).toBeGreaterThan(0);
    expect(deltas).toContainEqual(expect.objectContaining({ reasoning_content: expect.stringMatching(/\S/) }));
  });
}
