import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesSource } from "../testing/demo-model";
import type { GoldenJob } from "../testing/golden-job";
import { loadGoldenJobs } from "../testing/goldens";
import { openDawnGpu } from "../testing/gpu";
import { overlappedSteps } from "../testing/overlapped-steps";
import { SchedulerScenarios } from "../testing/scheduler-scenarios";
import { DEMO_MODEL } from "../testing/test-engine";

const gpu = await openDawnGpu();
const JOBS: readonly GoldenJob[] = loadGoldenJobs().get("cairn-stories-3M")?.jobs ?? [];
/** Two long answers and two short ones; no step of theirs is near a tie in f32. */
const STORIES = JOBS.filter(({ promptIds }) => promptIds.length > 15 && promptIds.length < 25);

describe.skipIf(!gpu)("requests on the GPU", () => {
  let scenarios: SchedulerScenarios;
  beforeAll(async () => {
    scenarios = await SchedulerScenarios.open(gpu as GPU, { model: filesSource(DEMO_MODEL), kvDtype: "f32" });
  });
  afterAll(() => scenarios.dispose());

  it("with a common prefix of 400 tokens compute it once, and give what each gives alone", async () => {
    const { alone, together, stats } = await scenarios.sharedPrefix(JOBS, 8);
    expect(together.map(({ tokenIds }) => tokenIds)).toEqual(alone.map(({ tokenIds }) => tokenIds));
    expect(together.map(({ cachedTokens }) => cachedTokens)).toEqual([0, ...new Array(7).fill(400)]);
    // The prefix, and of each request 8 tokens of its own and all that it generated but for the last.
    expect(stats).toMatchObject({ numScheduledTokens: 400 + 8 * (8 + 7), numCachedTokens: 7 * 400, numPreemptions: 0 });
  });

  it("that are aborted in their prefill or preempted leave the others' ids as they are, and the preempted its own", async () => {
    const { outcomes, stats, aborted, numAbortedTokensComputed } = await scenarios.abortAndPreempt(STORIES, 31);
    expect(outcomes.map(({ tokenIds }) => tokenIds)).toEqual(STORIES.map(({ greedyIds }) => greedyIds));
    expect(stats.numPreemptions).toBeGreaterThan(0);
    expect(aborted).toEqual({ tokenIds: [], end: "aborted", cachedTokens: 0 });
    expect(numAbortedTokensComputed).toBe(32);
    // The first story's prompt begins like that of the aborted request, whose chunks were computed all the same.
    expect(outcomes.map(({ cachedTokens }) => cachedTokens)).toEqual([16, 0, 0, 0]);
  });

  it("have their next step submitted before the ids of the last are read back", async () => {
    const [one, two] = [await scenarios.trace(STORIES[0], 1, 32), await scenarios.trace(STORIES[0], 2, 32)];
    expect(two.tokenIds).toEqual(STORIES[0].greedyIds.slice(0, 32));
    expect(one.tokenIds).toEqual(two.tokenIds);
    expect(overlappedSteps(one.events)).toEqual([]);
    const overlapped = overlappedSteps(two.events);
    expect(overlapped[0]).toBe(0);
    // A CPU that is busy with the software adapter may read back steps in pairs: then every other one overlaps.
    expect(overlapped.length).toBeGreaterThanOrEqual(15);
  });
});
