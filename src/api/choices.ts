import type { GenerateRequest, PromptInput, Timings, Usage } from "../protocol/messages";
import { AsyncQueue } from "./async-queue";
import type { ChoiceSource } from "./choice-source";
import type { DeltaOrDone, Generation } from "./generation";
import { type ValidBody, validatePrompt } from "./validate-body";
import type { WorkerConnection } from "./worker-connection";

type DoneEvent = Extract<DeltaOrDone, { kind: "done" }>;

/** The field `prompt` where it is an array of prompts. */
export function validatePrompts(value: readonly unknown[]): PromptInput[] {
  return value.map((prompt, index) => validatePrompt(prompt, `prompt[${index}]`));
}

/** Sends all choices of an answer to the worker. Throws as the connection's `generate`, before anything is sent. */
export function startChoices(
  connection: WorkerConnection,
  requestId: string,
  body: ValidBody,
  signal: AbortSignal | null,
): ChoiceSource {
  const generations = choiceRequests(requestId, body).map((request) => connection.generate(request, signal));
  return new Choices(generations, body.n);
}

/** n choices of each prompt, those of one prompt next to each other. With a seed, a prompt's choice i has the seed + i. */
function choiceRequests(requestId: string, { request, inputs, n }: ValidBody): GenerateRequest[] {
  return inputs.flatMap((input, prompt) =>
    Array.from({ length: n }, (_, i) => ({
      ...request,
      requestId: `${requestId}-${prompt * n + i}`,
      input,
      sampling: { ...request.sampling, seed: seedPlus(request.sampling.seed ?? null, i) },
    })),
  );
}

/** As 64-bit halves. */
function seedPlus(seed: readonly [number, number] | null, i: number): readonly [number, number] | null {
  if (seed === null) return null;
  const low = seed[0] + i;
  return [low >>> 0, (seed[1] + Math.floor(low / 2 ** 32)) >>> 0];
}

/** Generations that make one answer; when one fails, all end. */
class Choices implements ChoiceSource {
  readonly controller = new AbortController();
  readonly #generations: readonly Generation[];
  /** Choices of one prompt. */
  readonly #n: number;
  readonly #events = new AsyncQueue<{ readonly index: number; readonly event: DeltaOrDone }>();
  readonly #done: DoneEvent[] = [];
  #numDone = 0;
  #hasFailed = false;

  constructor(generations: readonly Generation[], n: number) {
    this.#generations = generations;
    this.#n = n;
    this.controller.signal.addEventListener("abort", () => this.#abort(this.controller.signal.reason), { once: true });
  }

  async start() {
    try {
      const started = await Promise.all(this.#generations.map((generation) => generation.started()));
      for (const [index, generation] of this.#generations.entries()) void this.#forward(index, generation);
      return started;
    } catch (error) {
      this.#abort(error);
      throw error;
    }
  }

  async next() {
    const { index, event } = await this.#events.next();
    if (event.kind === "delta") return { index, event };
    this.#done[index] = event;
    const isLast = ++this.#numDone === this.#generations.length;
    return { index, event: isLast ? { ...event, ...totals(this.#done, this.#n) } : event };
  }

  /** Hands the events on until the generation ends, or fails and all others with it. */
  async #forward(index: number, generation: Generation): Promise<void> {
    try {
      for (;;) {
        const event = await generation.next();
        this.#events.push({ index, event });
        if (event.kind === "done") return;
      }
    } catch (error) {
      if (this.#hasFailed) return;
      this.#hasFailed = true;
      if (error instanceof Error && error.name === "AbortError") this.#events.clear();
      this.#events.fail(error);
      this.#abort(error);
    }
  }

  #abort(reason: unknown): void {
    for (const { controller } of this.#generations) controller.abort(reason);
  }
}

/** Of all choices: each prompt counts once, as its first choice found it; the times are those of the slowest. */
function totals(done: readonly DoneEvent[], n: number): { readonly usage: Usage; readonly timings: Timings } {
  const firsts = done.filter((_, index) => index % n === 0).map(({ usage }) => usage);
  const sum = <T>(items: readonly T[], count: (item: T) => number) =>
    items.reduce((total, item) => total + count(item), 0);
  const tier = (name: keyof Usage["cachedTokensByTier"]) => sum(firsts, (usage) => usage.cachedTokensByTier[name]);
  return {
    usage: {
      promptTokens: sum(firsts, (usage) => usage.promptTokens),
      completionTokens: sum(done, ({ usage }) => usage.completionTokens),
      cachedTokens: sum(firsts, (usage) => usage.cachedTokens),
      cachedTokensByTier: { gpu: tier("gpu"), host: tier("host"), storage: tier("storage") },
    },
    timings: done.map(({ timings }) => timings).reduce((a, b) => (b.totalMs > a.totalMs ? b : a)),
  };
}
