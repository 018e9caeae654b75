import { describe, expect, it, vi } from "vitest";
import type { PrefetchResult } from "../protocol/kv-messages";
import { deferred } from "../testing/deferred";
import { makeRequest, settle, summarize } from "../testing/engine-parts";
import { deviceLoss } from "../testing/scripted-devices";
import { CairnError } from "../util/errors";
import { IDS, LONG, type LossyEngine, lossyEngines, penalized, WHOLE } from "./recovery.fixture";

const { make } = lossyEngines();
const kv = (lossy: LossyEngine) => lossy.engine.kvStats();

describe("streams go on with the same ids, when the device is lost", () => {
  it.each([0, 1, 2, 3, 4])("in a decode with two steps in flight, after %d ids", async (numIds) => {
    const lossy = make();
    const streams = [lossy.generate("r"), lossy.generate("s")];
    await lossy.land(numIds);
    expect(lossy.scheduler.numInFlightSteps).toBe(2);
    await lossy.lose();
    await lossy.finish();
    expect(streams.map(summarize)).toEqual([WHOLE, WHOLE]);
    // Both steps were refused; that is one loss.
    expect([lossy.numLosses, lossy.devices.made.length]).toEqual([1, 2]);
  });

  it("when a step has landed and nobody has looked at it yet: its ids count", async () => {
    const lossy = make();
    const stream = lossy.generate("r");
    await lossy.land();
    lossy.devices.script.releaseOne();
    await lossy.lose();
    expect(summarize(stream)).toBe('started "a" "b"');
    await lossy.finish();
    expect(summarize(stream)).toBe(WHOLE);
  });

  it.each([0, 1, 2])("in a prefill, after %d of three chunks", async (numChunks) => {
    const lossy = make();
    const stream = lossy.generate("r", LONG);
    await lossy.land(numChunks);
    expect(summarize(stream)).toBe("started");
    await lossy.lose();
    await lossy.finish();
    expect(summarize(stream)).toBe(WHOLE);
  });

  it("while one waits and one runs: they keep their order", async () => {
    const lossy = make({ maxNumRunning: 1 });
    const ends: string[] = [];
    for (const requestId of ["r", "s"]) {
      lossy.engine.generate(makeRequest(requestId), ({ kind }) => {
        if (kind === "done") ends.push(requestId);
      });
    }
    await lossy.land(2);
    expect(lossy.scheduler.numWaiting).toBe(1);
    await lossy.lose();
    await lossy.finish();
    expect(ends).toEqual(["r", "s"]);
  });

  it("while KV is stored: what the old device says of it later is not believed", async () => {
    const lossy = make({ maxInFlightSteps: 1 });
    lossy.devices.held.add("store");
    const stream = lossy.generate("r", LONG);
    await lossy.land(3);
    const [store] = lossy.devices.transfers;
    expect([store.kind, kv(lossy).stores.numInFlight]).toEqual(["store", 1]);
    lossy.devices.holdsRebuilds = true;
    await lossy.lose();
    expect(kv(lossy).stores).toMatchObject({ numInFlight: 0, numDone: 0 });
    lossy.devices.rebuilds.splice(0)[0].finish();
    await settle();
    expect(lossy.scheduler.numInFlightSteps).toBe(1);
    store.end(true);
    await settle();
    expect(kv(lossy).stores).toMatchObject({ numDone: 0, bytes: 0 });
    expect(kv(lossy).host).toMatchObject({ numIdleSlots: 0 });
    lossy.devices.transfers.splice(0);
    const check = vi.spyOn(lossy.scheduler, "checkIntegrity");
    await lossy.finish();
    expect(summarize(stream)).toBe(WHOLE);
    expect(kv(lossy).stores.numDone).toBe(1);
    // As ever, an engine that is idle looks after its books.
    expect(check).toHaveBeenCalled();
  });

  it("while KV is loaded: it is loaded again from RAM, and what the old device says later is nothing", async () => {
    const lossy = make();
    const first = lossy.generate("r", LONG);
    await lossy.finish();
    await lossy.engine.kvClear(["gpu"]);
    lossy.devices.held.add("load");
    const second = lossy.generate("s", LONG);
    await settle();
    expect(lossy.scheduler.numLoading).toBe(1);
    const [load] = lossy.devices.transfers.splice(0);
    lossy.devices.current.lose();
    // A load's step may carry nothing else: the loss is seen by that step.
    await settle();
    load.end(true);
    await settle();
    expect([lossy.numLosses, lossy.scheduler.numLoading, kv(lossy).loads.numStarted]).toEqual([1, 1, 2]);
    await lossy.finish();
    expect([summarize(first), summarize(second)]).toEqual([WHOLE, WHOLE]);
    expect(second.at(-1)).toMatchObject({ usage: { cachedTokensByTier: { host: 16 } } });
  });

  it("while a prefetch loads: it ends with what it brought to the next device", async () => {
    const lossy = make();
    lossy.generate("r", LONG);
    await lossy.finish();
    await lossy.engine.kvClear(["gpu"]);
    lossy.devices.held.add("load");
    const results: PrefetchResult[] = [];
    const { input } = LONG;
    void lossy.engine.kvPrefetch({ requestId: "p", input, cacheSalt: null }).then((result) => results.push(result));
    await settle();
    expect(lossy.scheduler.numLoading).toBe(1);
    await lossy.lose();
    expect(results).toEqual([]);
    await lossy.finish();
    expect(results).toEqual([{ promptTokens: 18, tokens: { gpu: 0, host: 16, storage: 0 } }]);
  });
});

describe("a constrained request", () => {
  /** Masks that come when the test says so: the mask after n ids is n + 1. */
  function constrained() {
    const pending: { release(): void }[] = [];
    const accepted: number[] = [];
    const constraint = {
      mask: Uint32Array.of(1),
      accept: (tokenId: number) => {
        accepted.push(tokenId);
        const mask = deferred();
        const release = () => {
          constraint.mask = Uint32Array.of(accepted.length + 1);
          mask.resolve();
        };
        pending.push({ release });
        return mask.promise;
      },
      end: () => {},
    };
    const lossy = make({ constrain: async () => constraint });
    const stream = lossy.generate("r", { grammar: { type: "any_text" } });
    return { lossy, stream, accepted, pending };
  }

  async function finish({ lossy, pending }: ReturnType<typeof constrained>): Promise<void> {
    for (let i = 0; i < 2 * IDS.length; i++) {
      await lossy.finish();
      for (const mask of pending.splice(0)) mask.release();
      await settle();
    }
    await lossy.finish();
  }

  it.each(["before the loss", "during the rebuild", "after it"])(
    "whose mask comes %s goes on, and each mask is that of the ids before",
    async (when) => {
      const held = constrained();
      const { lossy, pending, stream, accepted } = held;
      await lossy.land();
      expect(summarize(stream)).toBe('started "a"');
      const release = () => pending.splice(0)[0].release();
      if (when === "before the loss") release();
      await settle();
      if (when !== "before the loss") {
        // It is held, so that nothing is in flight: somebody else meets the loss.
        lossy.generate("s");
        await settle();
      }
      lossy.devices.holdsRebuilds = true;
      await lossy.lose();
      if (when === "during the rebuild") release();
      await settle();
      await finish(held);
      expect(summarize(stream)).toBe(WHOLE);
      expect(accepted).toEqual(IDS.slice(0, 4));
      const masks = lossy.devices.made.flatMap((device) => device.masks.flatMap((step) => [...step.values()]));
      const words = masks.map(([word]) => word);
      // The id that was on its way when the device was lost is sampled again, with its own mask.
      expect(words).toEqual(when === "before the loss" ? [1, 2, 2, 3, 4, 5] : [1, 2, 3, 4, 5]);
    },
  );

  it("that has sampled nothing that came back samples again", async () => {
    const held = constrained();
    await settle();
    await held.lossy.lose();
    await finish(held);
    expect(summarize(held.stream)).toBe(WHOLE);
    expect(held.accepted).toEqual(IDS.slice(0, 4));
  });
});

describe("a request for which the runner has to get ready", () => {
  it("and does when the device is lost: the next one does too, before it runs", async () => {
    const lossy = make();
    lossy.devices.holdsPreparing = true;
    const other = lossy.generate("r");
    const stream = lossy.generate("s", penalized);
    await settle();
    const [old] = lossy.devices.current.preparing;
    await lossy.lose();
    expect(lossy.devices.made).toHaveLength(2);
    const [again] = lossy.devices.current.preparing;
    // What comes of the old device's preparing, a failure even, says nothing of the new one's.
    old.reject(new Error("the device is lost"));
    await settle();
    expect(summarize(stream)).toBe("started");
    expect(lossy.devices.current.numSteps).toBe(0);
    again.resolve();
    await settle();
    await lossy.finish();
    expect([other, stream].map(summarize)).toEqual([WHOLE, WHOLE]);
  });

  it("and of which the old device says that it is lost: it meets the loss, and goes on", async () => {
    const lossy = make();
    lossy.devices.holdsPreparing = true;
    const stream = lossy.generate("s", penalized);
    await settle();
    const [preparing] = lossy.devices.current.preparing;
    lossy.devices.current.lose();
    lossy.devices.holdsPreparing = false;
    preparing.reject(deviceLoss());
    await settle();
    await lossy.finish();
    expect([summarize(stream), lossy.numLosses]).toEqual([WHOLE, 1]);
  });

  it("that runs, and one that comes during the rebuild: both run when the next runner is ready", async () => {
    const lossy = make();
    const first = lossy.generate("r", penalized);
    await lossy.land();
    lossy.devices.holdsPreparing = true;
    await lossy.lose();
    const second = lossy.generate("s", penalized);
    await settle();
    expect(lossy.devices.current.numSteps).toBe(0);
    lossy.devices.current.preparing[0].resolve();
    await settle();
    await lossy.finish();
    expect([first, second].map(summarize)).toEqual([WHOLE, WHOLE]);
  });

  it("and cannot on the next device: it is told why, and the others go on", async () => {
    const lossy = make();
    const refused = lossy.generate("r", penalized);
    const other = lossy.generate("s");
    await lossy.land(3);
    lossy.devices.holdsPreparing = true;
    await lossy.lose();
    const late = lossy.generate("t", penalized);
    const no = () => new CairnError("worker_failed", "no", { reason: "no" });
    lossy.devices.current.preparing[0].reject(no());
    await settle();
    // The one that came meanwhile is asked for too.
    expect([lossy.devices.current.preparing.length, lossy.devices.current.numSteps]).toEqual([2, 0]);
    lossy.devices.current.preparing[1].resolve();
    await settle();
    await lossy.finish();
    expect([refused, other, late].map(summarize)).toEqual(['started "a" error:worker_failed', WHOLE, WHOLE]);
  });

  it("and is aborted before the next device refuses it: a request of its id is another", async () => {
    const lossy = make();
    lossy.generate("r", penalized);
    await lossy.land();
    lossy.devices.holdsPreparing = true;
    await lossy.lose();
    lossy.engine.abort("r");
    await settle();
    const again = lossy.generate("r");
    lossy.devices.current.preparing[0].reject(new Error("no"));
    await settle();
    await lossy.finish();
    expect(summarize(again)).toMatch(/^started .*done:stop$/);
  });

  it("and the next device is lost meanwhile: a third one is made", async () => {
    const lossy = make();
    const stream = lossy.generate("r", penalized);
    await lossy.land();
    lossy.devices.holdsPreparing = true;
    await lossy.lose();
    lossy.devices.holdsPreparing = false;
    lossy.devices.current.preparing[0].reject(deviceLoss());
    await settle();
    await lossy.finish();
    expect([summarize(stream), lossy.numLosses, lossy.devices.made.length]).toEqual([WHOLE, 2, 3]);
  });
});
