import { expect, test } from "../test";
import { type GetPage, MESSAGES } from "./cases";

/** What a target's server must know of besides. */
export interface AbortWatch {
  /** How many streams were given up so far; null where nobody counts. */
  numAborted(): number | null;
}

/** Everything of OpenAI's own client that needs no tools. */
export function chatSuite(page: GetPage, watch: AbortWatch): void {
  test("models", async () => {
    const { list, model } = await page().evaluate(async () => {
      const list = await clients.openai.models.list();
      return { list: list.data, model: await clients.openai.models.retrieve(clients.model) };
    });
    expect(list).toEqual([model]);
    expect(model).toMatchObject({ object: "model", created: expect.any(Number), owned_by: expect.any(String) });
  });

  test("a chat, and the same prompt again", async () => {
    const answers = await page().evaluate(async (messages) => {
      const { openai, model } = clients;
      const create = () => openai.chat.completions.create({ model, messages, max_tokens: 6, temperature: 0 });
      const first = await create();
      return { first, requestId: first._request_id, second: await create() };
    }, MESSAGES);
    for (const { choices, usage, ...answer } of [answers.first, answers.second]) {
      expect(answer).toMatchObject({ object: "chat.completion", id: expect.stringMatching(/^chatcmpl-/) });
      expect(choices).toHaveLength(1);
      expect(choices[0]).toMatchObject({ index: 0, logprobs: null, message: { role: "assistant", refusal: null } });
      expect(choices[0]?.message.content).toMatch(/\S/);
      expect(["stop", "length"]).toContain(choices[0]?.finish_reason);
      expect(usage?.total_tokens).toBe(usage!.prompt_tokens + usage!.completion_tokens);
      expect(usage?.completion_tokens).toBeLessThanOrEqual(6);
    }
    expect(answers.requestId).toMatch(/^req_/);
    expect(answers.second.choices).toEqual(answers.first.choices);
    expect(answers.first.usage?.prompt_tokens_details?.cached_tokens).toBe(0);
    const { prompt_tokens, prompt_tokens_details } = answers.second.usage!;
    expect(prompt_tokens_details?.cached_tokens).toBeGreaterThan(0);
    expect(prompt_tokens_details?.cached_tokens).toBeLessThan(prompt_tokens);
  });

  test("a stream, with its usage", async () => {
    const chunks = await page().evaluate(async (messages) => {
      const { openai, model } = clients;
      const options = { stream: true, stream_options: { include_usage: true } } as const;
      const stream = await openai.chat.completions.create({ model, messages, max_tokens: 6, ...options });
      return clients.collect(stream);
    }, MESSAGES);
    const ids = new Set(chunks.map(({ id, object, model }) => JSON.stringify([id, object, model])));
    expect([...ids]).toEqual([expect.stringContaining('"chat.completion.chunk"')]);
    expect(chunks[0]?.choices[0]?.delta.role).toBe("assistant");
    expect(chunks.slice(1).filter(({ choices }) => choices[0]?.delta.role)).toEqual([]);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toMatch(/\S/);
    const last = chunks.at(-1);
    expect([last?.choices, last?.usage?.completion_tokens]).toEqual([[], expect.any(Number)]);
    const finishReasons = chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? []);
    expect([["stop"], ["length"]]).toContainEqual(finishReasons);
    expect(chunks.slice(0, -1).map(({ usage }) => usage)).toEqual(Array(chunks.length - 1).fill(null));
  });

  test("aborts before, in the middle, by leaving the loop; the next request is answered", async () => {
    const numBefore = watch.numAborted();
    const seen = await page().evaluate(async (messages) => {
      const { openai, model, OpenAI } = clients;
      const body = { model, messages, max_tokens: 400, temperature: 1, seed: 3 } as const;
      const isAbort = (error: unknown) => error instanceof OpenAI.APIUserAbortError;

      const whole = new AbortController();
      const answer = openai.chat.completions.create(body, { signal: whole.signal }).catch(isAbort);
      setTimeout(() => whole.abort(), 20);

      let numChunks = 0;
      const left = await openai.chat.completions.create({ ...body, stream: true });
      for await (const _ of left) if (++numChunks === 2) break;

      const middle = await openai.chat.completions.create({ ...body, stream: true });
      for await (const _ of middle) if (++numChunks === 4) middle.controller.abort();

      const helper = openai.chat.completions.stream(body);
      helper.on("chunk", () => helper.abort());
      const final = helper.finalChatCompletion().catch(isAbort);
      const next = await openai.chat.completions.create({ ...body, max_tokens: 2 });
      return { answer: await answer, numChunks, final: await final, next: next.choices.length };
    }, MESSAGES);
    // The stand-in gives a whole answer at once, and counts what it could not end.
    if (numBefore === null) expect(seen.answer).toBe(true);
    else await expect.poll(() => Number(watch.numAborted()) - numBefore).toBe(3);
    expect(seen).toMatchObject({ final: true, next: 1 });
    // Those that had arrived with the one may still come.
    expect(seen.numChunks).toBeGreaterThanOrEqual(4);
    expect(seen.numChunks).toBeLessThan(100);
  });

  test("logprobs", async () => {
    const [choice] = await page().evaluate(async (messages) => {
      const { openai, model } = clients;
      const options = { logprobs: true, top_logprobs: 2, max_tokens: 5, temperature: 0 };
      return (await openai.chat.completions.create({ model, messages, ...options })).choices;
    }, MESSAGES);
    const content = choice?.logprobs?.content ?? [];
    const text = Buffer.from(content.flatMap(({ bytes }) => bytes ?? [])).toString();
    expect(text.trim()).toBe(choice?.message.content?.trim());
    for (const { token, logprob, top_logprobs } of content) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs).toHaveLength(2);
      expect(top_logprobs[0]).toMatchObject({ token, logprob });
    }
  });

  test("errors are the client's own, by their status", async () => {
    const errors = await page().evaluate(async (messages) => {
      const { openai, model, OpenAI } = clients;
      const errorOf = (promise: Promise<unknown>) =>
        promise.then(
          () => null,
          (error) => {
            const { status, code, param, type, message } = error as InstanceType<typeof OpenAI.APIError>;
            const names = ["BadRequestError", "NotFoundError"] as const;
            const name = names.find((candidate) => error instanceof OpenAI[candidate]);
            return { name, status, code, param, type, isText: message.length > 0 };
          },
        );
      const { completions } = openai.chat;
      const long = [{ role: "user", content: "word ".repeat(5000) }] as const;
      return [
        await errorOf(completions.create({ model, messages, temperature: 3 })),
        await errorOf(completions.create({ model, messages: [...long], stream: true })),
        await errorOf(completions.create({ model: "no-such", messages })),
        await errorOf(openai.models.retrieve("no/such")),
        await errorOf(openai.embeddings.create({ model, input: "a" })),
      ];
    }, MESSAGES);
    const bad = { name: "BadRequestError", status: 400, type: "invalid_request_error", isText: true };
    const unknown = { ...bad, name: "NotFoundError", status: 404 };
    expect(errors).toMatchObject([
      { ...bad, param: "temperature" },
      { ...bad, code: "context_length_exceeded" },
      { ...unknown, code: "model_not_found" },
      { ...unknown, code: "model_not_found" },
      unknown,
    ]);
  });

  test("a short stream is read whole beside a long one", async () => {
    const seen = await page().evaluate(async (messages) => {
      const { openai, model } = clients;
      const ask = { model, messages, temperature: 1, seed: 1, stream: true } as const;
      const long = await openai.chat.completions.create({ ...ask, max_tokens: 400 });
      const counts = { long: 0, short: 0 };
      let isLongOver = false;
      const reading = (async () => {
        for await (const _ of long) counts.long++;
        isLongOver = true;
      })();
      const short = await openai.chat.completions.create({ ...ask, seed: 2, max_tokens: 4 });
      for await (const _ of short) counts.short++;
      const isLongAlive = !isLongOver;
      long.controller.abort();
      await reading;
      return { ...counts, isLongAlive };
    }, MESSAGES);
    expect(seen.isLongAlive).toBe(true);
    expect(seen.long).toBeGreaterThan(0);
    expect(seen.short).toBeGreaterThan(2);
  });

  test("several choices, and a seed repeats them", async () => {
    const { whole, other, streamed } = await page().evaluate(async (messages) => {
      const { openai, model } = clients;
      const ask = { model, messages, n: 2, max_tokens: 5, temperature: 1 };
      const texts = async (seed: number) => {
        const { choices } = await openai.chat.completions.create({ ...ask, seed });
        return choices.map(({ index, message }) => [index, message.content]);
      };
      const streamed = ["", ""];
      for await (const { choices } of await openai.chat.completions.create({ ...ask, seed: 1, stream: true })) {
        for (const { index, delta } of choices) streamed[index] += delta.content ?? "";
      }
      return { whole: await texts(1), other: await texts(7), streamed };
    }, MESSAGES);
    expect(whole.map(([index]) => index)).toEqual([0, 1]);
    expect(whole[0]?.[1]).not.toBe(whole[1]?.[1]);
    expect(streamed).toEqual(whole.map(([, text]) => text));
    expect(other).not.toEqual(whole);
  });

  test("legacy completions, of several prompts too", async () => {
    const { whole, many, text } = await page().evaluate(async () => {
      const { openai, model } = clients;
      const ask = { model, max_tokens: 4, temperature: 0 };
      const prompt = "Once upon a time";
      const whole = await openai.completions.create({ ...ask, prompt, logprobs: 1 });
      const many = await openai.completions.create({ ...ask, prompt: [prompt, "The dog"] });
      const chunks = await clients.collect(await openai.completions.create({ ...ask, prompt, stream: true }));
      return { whole, many, text: chunks.map(({ choices }) => choices[0]?.text ?? "").join("") };
    });
    const { text: answer, logprobs } = whole.choices[0]!;
    expect(whole.object).toBe("text_completion");
    expect(text).toBe(answer);
    expect(logprobs?.token_logprobs).toHaveLength(logprobs!.tokens!.length);
    expect(logprobs?.text_offset?.[0]).toBe(0);
    expect(many.choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(many.choices[0]?.text).toBe(answer);
  });
}
