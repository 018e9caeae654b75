import { expect } from "vitest";
import type { VerdictMemory } from "../engine/device-verdict";
import type { Engine } from "../engine/engine";
import { loadEngine } from "../engine/load-engine";
import type { EngineInit, GenerateEvent, GenerateRequest, LoadProgress } from "../protocol/messages";
import type { LogitsObserver } from "../runner/gpu-model-runner";
import type { WireError } from "../util/errors";
import { type CertainCase, filesSource, readCertainCases, readDemoModel } from "./demo-model";
import { loadPart } from "./lazy-parts";

export const DEMO_MODEL = readDemoModel();
export const [GREETING, ...OTHER_CASES]: CertainCase[] = readCertainCases();

export interface LoadHooks {
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
  readonly observeLogits?: LogitsObserver;
  /** With it, the self-test runs. */
  readonly verdicts?: VerdictMemory;
}

/** Without the GEMVs over several tokens a software adapter is ready sooner. */
const FEW_KERNELS = { useGemvUpToTokens: 1 };

/** An engine on the embedded model, unless `init` names another, with few kernels, unless it says otherwise. */
export function loadTestEngine(gpu: GPU, init: Partial<EngineInit> = {}, hooks: LoadHooks = {}): Promise<Engine> {
  return loadEngine(
    { model: filesSource(DEMO_MODEL), ...init, engine: { ...FEW_KERNELS, ...init.engine } },
    {
      gpu,
      onProgress: hooks.onProgress ?? (() => {}),
      signal: hooks.signal ?? new AbortController().signal,
      observeLogits: hooks.observeLogits,
      verdicts: hooks.verdicts,
      loadPart,
    },
  );
}

/** How a request ended, and what it gave until then. */
export interface Outcome {
  readonly promptTokenIds: readonly number[] | null;
  readonly tokenIds: readonly number[];
  readonly text: string;
  readonly end: "stop" | "length" | WireError;
}

/** One request as a test follows it. */
export class TestRequest {
  readonly requestId: string;
  readonly outcome: Promise<Outcome>;
  readonly events: GenerateEvent[] = [];
  readonly #engine: Engine;

  constructor(engine: Engine, request: Partial<GenerateRequest>, onEvent: (event: GenerateEvent) => void = () => {}) {
    this.#engine = engine;
    this.requestId = request.requestId ?? crypto.randomUUID();
    const full: GenerateRequest = {
      requestId: this.requestId,
      input: GREETING.input,
      maxTokens: null,
      sampling: { temperature: 0, topK: null, topP: null, minP: null, seed: [1, 0] },
      stop: [],
      priority: 0,
      usePrefixCache: true,
      cacheSalt: null,
      ...request,
    };
    this.outcome = new Promise((resolve) => {
      engine.generate(full, (event) => {
        this.events.push(event);
        if (event.kind === "done" || event.kind === "error") resolve(outcomeOf(this.events));
        onEvent(event);
      });
    });
  }

  abort(): void {
    this.#engine.abort(this.requestId);
  }
}

function outcomeOf(events: readonly GenerateEvent[]): Outcome {
  const deltas = events.filter((event) => event.kind === "delta");
  const started = events.find((event) => event.kind === "started");
  const last = events[events.length - 1];
  if (last.kind !== "done" && last.kind !== "error") throw new Error(`a request ended with ${last.kind}`);
  return {
    promptTokenIds: started?.promptTokenIds ?? null,
    tokenIds: deltas.flatMap(({ tokenIds }) => tokenIds),
    text: deltas.map(({ text }) => text).join(""),
    end: last.kind === "done" ? last.finishReason : last.error,
  };
}

export function expectGolden({ promptTokenIds, tokenIds, text, end }: Outcome, golden: CertainCase): void {
  expect({ promptTokenIds, tokenIds, text, end }).toEqual({
    promptTokenIds: golden.promptIds,
    tokenIds: golden.greedyIds,
    text: golden.text,
    end: "stop",
  });
}

/**
 * The engine still works: it answers a golden case exactly. Whenever it is idle it checks its own books (checkIntegrity)
 * and takes no more requests once they are wrong; the second, refused for its own fault, says that they were not.
 */
export async function expectServing(engine: Engine): Promise<void> {
  expectGolden(await new TestRequest(engine, { input: GREETING.input }).outcome, GREETING);
  const { end } = await new TestRequest(engine, { input: { kind: "tokens", tokenIds: [] } }).outcome;
  expect(end).toMatchObject({ code: "invalid_request", data: { param: "prompt" } });
}
