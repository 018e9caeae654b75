import fc from "fast-check";
import { expect, test } from "vitest";
import { arbitraryLife, HostPlayer, RARE_EVENTS, type RareEvent } from "./host-player.property.fixture";

const SEED = 20261125;
const NUM_LIVES = 800;
const MIN_TIMES = 30;

test("a host manager does what a model with arrays does: slots, states, events, evictions, store epochs", () => {
  const counts = new Map<RareEvent, number>(RARE_EVENTS.map((event) => [event, 0]));
  const count = (event: RareEvent) => counts.set(event, counts.get(event)! + 1);
  fc.assert(
    fc.property(arbitraryLife, ({ options, operations }) => new HostPlayer(options, count).play(operations)),
    { seed: SEED, numRuns: NUM_LIVES },
  );
  for (const [event, times] of counts) expect.soft(times, event).toBeGreaterThanOrEqual(MIN_TIMES);
});
