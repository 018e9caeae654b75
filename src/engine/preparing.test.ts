import { describe, expect, it } from "vitest";
import type { GenerateEvent } from "../protocol/messages";
import { deferred } from "../testing/deferred";
import { EOS, id, makeParts, makeRequest, settle, summarize } from "../testing/engine-parts";
import { ScriptedRunner } from "../testing/scripted-runner";
import { CairnError } from "../util/errors";
import { Engine } from "./engine";

/** An engine whose runner has to get ready for what samples with penalties; `prepared` ends that. */
function makeEngine() {
  const prepared = deferred();
  const runner = Object.assign(new ScriptedRunner({ slow: [id("a"), EOS], other: [id("b"), EOS] }), {
    prepare: ({ presencePenalty }: { presencePenalty: number }) => (presencePenalty === 0 ? null : prepared.promise),
  });
  const parts = makeParts(runner);
  const engine = new Engine(parts);
  const generate = (requestId: string, presencePenalty: number | null = null) => {
    const events: GenerateEvent[] = [];
    engine.generate(makeRequest(requestId, { sampling: { presencePenalty } }), (event) => events.push(event));
    return events;
  };
  return { engine, generate, prepared, scheduler: parts.scheduler };
}

describe("a request for which the runner has to get ready", () => {
  it("starts when it is, and holds up no other", async () => {
    const { generate, prepared } = makeEngine();
    const slow = generate("slow", 1);
    const other = generate("other");
    await settle();
    expect([summarize(slow), summarize(other)]).toEqual(["", expect.stringMatching(/^started .*done:stop$/)]);
    prepared.resolve();
    await settle();
    expect(summarize(slow)).toMatch(/^started .*done:stop$/);
  });

  it("is told why it cannot", async () => {
    const { generate, prepared, scheduler } = makeEngine();
    const slow = generate("slow", 1);
    prepared.reject(new CairnError("worker_failed", "no", { reason: "no" }));
    await settle();
    expect(summarize(slow)).toBe("error:worker_failed");
    expect(scheduler.hasUnfinished).toBe(false);
  });

  it("may be aborted before, and its id used again", async () => {
    const { engine, generate, prepared, scheduler } = makeEngine();
    const slow = generate("slow", 1);
    engine.abort("slow");
    await settle();
    expect(summarize(slow)).toBe("error:aborted");
    const again = generate("slow");
    prepared.resolve();
    await settle();
    expect([summarize(slow), summarize(again)]).toEqual([
      "error:aborted",
      expect.stringMatching(/^started .*done:stop$/),
    ]);
    expect(scheduler.hasUnfinished).toBe(false);
  });

  it("ends with the engine", async () => {
    const { engine, generate, prepared } = makeEngine();
    const slow = generate("slow", 1);
    engine.dispose();
    prepared.resolve();
    await settle();
    expect(summarize(slow)).toBe("error:disposed");
  });
});
