import { afterEach, expect, it, vi } from "vitest";
import { openDawnGpu } from "../testing/gpu";
import { expectGolden, GREETING, loadTestEngine, TestRequest } from "../testing/test-engine";

const dawn = await openDawnGpu();

afterEach(() => vi.restoreAllMocks());

it.skipIf(!dawn)(
  "with `profile` every step is an entry of the performance panel, from its submit to its landing",
  async () => {
    const measure = vi.spyOn(performance, "measure");
    const engine = await loadTestEngine(dawn as GPU, { engine: { profile: true } });
    expectGolden(await new TestRequest(engine, { input: GREETING.input }).outcome, GREETING);
    const steps = measure.mock.calls
      .map(([name, options]) => ({ name, ...(options as { start: number; end: number; detail: unknown }) }))
      .filter(({ name }) => name.startsWith("step "));
    const { length: numPromptTokens } = GREETING.promptIds;
    expect(steps.slice(0, 3).map(({ name }) => name)).toEqual([
      `step 0: ${numPromptTokens} tokens, 1 request`,
      "step 1: 1 token, 1 request",
      "step 2: 1 token, 1 request",
    ]);
    for (const { start, end, detail } of steps) {
      expect(end).toBeGreaterThan(start);
      expect(detail).toMatchObject({ devtools: { trackGroup: "Cairn", track: "Steps" } });
    }
    engine.dispose();
  },
);
