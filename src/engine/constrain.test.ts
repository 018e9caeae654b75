import { expect, it } from "vitest";
import type { GenerateEvent } from "../protocol/messages";
import type { Constraint, Grammars } from "../sampling/grammar/grammars";
import { EOS, id, makeParts, makeRequest, makeScheduler, settle, summarize } from "../testing/engine-parts";
import { ScriptedRunner } from "../testing/scripted-runner";
import { CairnError } from "../util/errors";
import { constrainWith } from "./constrain";
import { Engine } from "./engine";

const GRAMMAR = { type: "any_text" } as const;
/** A constraint whose masks come when the test says so. */
class HeldConstraint implements Constraint {
  mask = Uint32Array.of(0);
  numEnds = 0;
  readonly accepted: number[] = [];
  #resolve: (() => void) | null = null;

  accept(tokenId: number): Promise<void> {
    this.accepted.push(tokenId);
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  release(mask: number): void {
    this.mask = Uint32Array.of(mask);
    this.#resolve?.();
  }

  end(): void {
    this.numEnds += 1;
  }
}

/** The engine, what goes to its runner, and the events of requests. */
function open(constrain: () => Promise<Constraint>, script: Record<string, readonly number[]>) {
  const runner = new ScriptedRunner(script);
  const masks: (readonly [row: number, mask: number])[][] = [];
  const submit: typeof runner.submit = (output, ...rest) => runner.submit(output, ...rest);
  const watched = {
    submit: (...[output, stepMasks = new Map()]: [Parameters<typeof submit>[0], ReadonlyMap<number, Uint32Array>?]) => {
      masks.push([...stepMasks].map(([row, [mask]]) => [row, mask] as const));
      return submit(output);
    },
    dispose: () => runner.dispose(),
  };
  const scheduler = makeScheduler();
  const engine = new Engine(makeParts(watched, { scheduler, constrain }));
  const generate = (requestId: string, grammar?: typeof GRAMMAR): GenerateEvent[] => {
    const events: GenerateEvent[] = [];
    engine.generate(makeRequest(requestId, { grammar }), (event) => events.push(event));
    return events;
  };
  return { engine, generate, masks, scheduler };
}

it("waits for each mask, which goes with the step that samples; the others go on meanwhile", async () => {
  const constraint = new HeldConstraint();
  constraint.mask = Uint32Array.of(1);
  const { generate, masks, scheduler } = open(() => Promise.resolve(constraint), {
    r: [id("a"), id("b"), EOS],
    free: [id("c"), id("d"), EOS],
  });
  const events = generate("r", GRAMMAR);
  const others = generate("free");
  await settle();
  expect(summarize(others)).toBe('started "c" "d" "" done:stop');
  expect(summarize(events)).toBe('started "a"');
  expect(constraint.accepted).toEqual([id("a")]);
  constraint.release(2);
  await settle();
  constraint.release(3);
  await settle();
  expect(summarize(events)).toBe('started "a" "b" "" done:stop');
  expect(masks.flat()).toEqual([1, 2, 3].map((mask) => [1, mask]));
  expect([constraint.accepted, constraint.numEnds]).toEqual([[id("a"), id("b")], 1]);
  scheduler.checkIntegrity();
});

it("a prompt that ends in thoughts has the grammar for that", async () => {
  const made: unknown[] = [];
  const scheduler = makeScheduler();
  const constrain = async (format: unknown) => {
    made.push(format);
    throw new CairnError("invalid_request", "enough", { param: "response_format" });
  };
  const engine = new Engine(makeParts(new ScriptedRunner({}), { scheduler, constrain }));
  const thinkingGrammar = { type: "const_string", value: "</think>" } as const;
  for (const [requestId, tokenIds] of [
    ["thinks", [id("a"), id("<think>")]],
    ["thought", [id("<think>"), id("a")]],
  ] as const) {
    engine.generate(
      makeRequest(requestId, { input: { kind: "tokens", tokenIds }, grammar: GRAMMAR, thinkingGrammar }),
      () => {},
    );
  }
  await settle();
  expect(made).toEqual([thinkingGrammar, GRAMMAR]);
});

it("an abort while its grammar is made: it ends at once, and what comes later is freed", async () => {
  const constraint = new HeldConstraint();
  let made = (_: Constraint) => {};
  const { engine, generate, scheduler } = open(() => new Promise((resolve) => (made = resolve)), { r: [EOS] });
  const events = generate("r", GRAMMAR);
  await settle();
  engine.abort("r");
  await settle();
  expect(summarize(events)).toBe("error:aborted");
  made(constraint);
  await settle();
  expect([constraint.numEnds, scheduler.hasUnfinished]).toEqual([1, false]);
});

it("an abort while a mask is under way, its id used again: the mask that comes late is nobody's", async () => {
  const constraints = [new HeldConstraint(), new HeldConstraint()];
  const waiting = [...constraints];
  const { engine, generate, scheduler } = open(() => Promise.resolve(waiting.shift()!), { r: [id("a"), EOS] });
  generate("r", GRAMMAR);
  await settle();
  engine.abort("r");
  const events = generate("r", GRAMMAR);
  await settle();
  expect(summarize(events)).toBe("error:invalid_request");
  const again = generate("r", GRAMMAR);
  await settle();
  constraints[0].release(1);
  await settle();
  expect(summarize(again)).toBe('started "a"');
  constraints[1].release(1);
  await settle();
  expect(summarize(again)).toBe('started "a" "" done:stop');
  expect(constraints[0].numEnds).toBe(2);
  scheduler.checkIntegrity();
});

it("a grammar that cannot be made ends its request; dispose ends one whose grammar is being made", async () => {
  const error = new CairnError("unsupported_parameter", "No.", { param: "s" });
  const refusing = open(() => Promise.reject(error), {});
  const refused = refusing.generate("r", GRAMMAR);
  await settle();
  expect(refused).toEqual([{ kind: "error", error: expect.objectContaining({ code: "unsupported_parameter" }) }]);
  const { engine, generate } = open(() => new Promise(() => {}), {});
  const events = generate("r", GRAMMAR);
  engine.dispose();
  expect(summarize(events)).toBe("error:disposed");
});

it("grammars are loaded once, and again after they could not be, or broke", async () => {
  const loads: ("fails" | "works")[] = ["fails", "works", "works"];
  const loaded: { isBroken: boolean }[] = [];
  const constraint = new HeldConstraint();
  const constrain = constrainWith(async () => {
    if (loads.shift() === "fails") throw new CairnError("worker_failed", "No.");
    const grammars = { isBroken: false, begin: async () => constraint };
    loaded.push(grammars);
    return grammars as unknown as Grammars;
  });
  await expect(constrain(GRAMMAR)).rejects.toMatchObject({ code: "worker_failed" });
  await Promise.all([constrain(GRAMMAR), constrain(GRAMMAR)]);
  expect(loaded).toHaveLength(1);
  loaded[0].isBroken = true;
  await constrain(GRAMMAR);
  expect(loaded).toHaveLength(2);
});
