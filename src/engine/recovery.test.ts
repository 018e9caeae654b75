import { afterEach, describe, expect, it, vi } from "vitest";
import type { PrefetchResult } from "../protocol/kv-messages";
import { deferred } from "../testing/deferred";
import { makeRequest, settle, summarize } from "../testing/engine-parts";
import { deviceLoss } from "../testing/scripted-devices";
import { CairnError, toWireError } from "../util/errors";
import { IDS, LONG, LossyEngine, type LossyOptions, WHOLE } from "./recovery.fixture";

const open: LossyEngine[] = [];

function make(options?: LossyOptions): LossyEngine {
  const lossy = new LossyEngine(options);
  open.push(lossy);
  return lossy;
}

/** Its books must be in order, and nothing of it left; an engine that has ended says so itself. */
afterEach(async () => {
  for (const { scheduler, devices } of open.splice(0)) {
    await settle();
    scheduler.checkIntegrity();
    expect(scheduler.hasUnfinished).toBe(false);
    expect(devices.made.map(({ numDisposals }) => numDisposals).slice(0, -1)).not.toContain(0);
  }
});

/** Those of the end of an engine hold requests that will never end. */
function forget(lossy: LossyEngine): void {
  open.splice(open.indexOf(lossy), 1);
}

const penalized = { sampling: { temperature: 0, presencePenalty: 1 } };
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

describe("during the rebuild", () => {
  /** A request runs, one waits; the device is lost, and the next one is not there yet. */
  async function rebuilding(options?: LossyOptions) {
    const lossy = make({ maxNumRunning: 1, ...options });
    lossy.devices.holdsRebuilds = true;
    const streams = [lossy.generate("r"), lossy.generate("s")];
    await lossy.land(2);
    await lossy.lose();
    return { lossy, streams, rebuild: lossy.devices.rebuilds[0] };
  }

  it("nothing is submitted", async () => {
    const { lossy } = await rebuilding();
    const numSteps = lossy.devices.script.steps.length;
    lossy.generate("t");
    await settle();
    expect(lossy.devices.script.steps).toHaveLength(numSteps);
    await lossy.finish();
  });

  it("requests may come, and be refused", async () => {
    const { lossy } = await rebuilding();
    const good = lossy.generate("t");
    const bad = lossy.generate("u", { input: { kind: "tokens", tokenIds: [] } });
    await settle();
    expect([good, bad].map(summarize)).toEqual(["started", "error:invalid_request"]);
    await lossy.finish();
    expect(summarize(good)).toBe(WHOLE);
  });

  it("requests may be aborted, and their ids used again", async () => {
    const { lossy, streams } = await rebuilding();
    for (const requestId of ["r", "s"]) lossy.engine.abort(requestId);
    await settle();
    expect(streams.map(summarize)).toEqual(['started "a" "b" error:aborted', "started error:aborted"]);
    const again = lossy.generate("t");
    await lossy.finish();
    expect(summarize(again)).toBe(WHOLE);
  });

  it("kv.stats, clear and flush answer", async () => {
    const { lossy, streams } = await rebuilding();
    await lossy.engine.kvClear(["gpu", "host", "storage"]);
    await lossy.engine.kvFlush();
    expect(kv(lossy)).toMatchObject({ numDeviceLosses: 1, gpu: { numCachedBlocks: 0, numFreeBlocks: 16 } });
    await lossy.finish();
    expect(streams.map(summarize)).toEqual([WHOLE, WHOLE]);
  });

  it("dispose ends all, and a runner that is made later is freed", async () => {
    const { lossy, streams, rebuild } = await rebuilding();
    forget(lossy);
    lossy.engine.dispose();
    expect(streams.map(summarize)).toEqual(['started "a" "b" error:disposed', "started error:disposed"]);
    expect(rebuild.signal.aborted).toBe(true);
    rebuild.finish();
    await settle();
    expect(lossy.devices.made.map(({ numDisposals }) => numDisposals)).toEqual([1, 1]);
  });

  it("dispose ends it for good, whatever becomes of it", async () => {
    const { lossy, rebuild } = await rebuilding();
    forget(lossy);
    lossy.engine.dispose();
    rebuild.fail(deviceLoss());
    await settle();
    expect(lossy.devices.rebuilds).toEqual([rebuild]);
  });

  it("dispose also ends one that is there and gets ready", async () => {
    const lossy = make();
    forget(lossy);
    const stream = lossy.generate("r", penalized);
    await lossy.land();
    lossy.devices.holdsPreparing = true;
    await lossy.lose();
    lossy.engine.dispose();
    lossy.devices.current.preparing[0].resolve();
    await settle();
    expect(summarize(stream)).toBe('started "a" error:disposed');
    expect(lossy.devices.made.map(({ numDisposals }) => numDisposals)).toEqual([1, 1]);
  });

  it("an error that is no loss ends the engine with it", async () => {
    const { lossy, streams, rebuild } = await rebuilding();
    forget(lossy);
    const prefetching = lossy.engine
      .kvPrefetch({ requestId: "p", input: LONG.input, cacheSalt: null })
      .catch(toWireError);
    rebuild.fail(new CairnError("out_of_memory", "The GPU could not give 5 bytes.", { neededBytes: 5 }));
    await settle();
    expect(streams.map((events) => events.at(-1))).toMatchObject(
      new Array(2).fill({ kind: "error", error: { code: "out_of_memory", data: { neededBytes: 5 } } }),
    );
    expect(await prefetching).toMatchObject({ code: "out_of_memory" });
    expect(summarize(lossy.generate("t"))).toBe("error:out_of_memory");
    lossy.engine.dispose();
    expect(lossy.devices.made.map(({ numDisposals }) => numDisposals)).toEqual([1]);
  });

  it("a loss counts, and the rebuild begins anew", async () => {
    const { lossy, streams, rebuild } = await rebuilding();
    rebuild.fail(deviceLoss());
    await settle();
    expect([lossy.numLosses, lossy.devices.rebuilds.length]).toEqual([2, 2]);
    lossy.devices.rebuilds.shift();
    await lossy.finish();
    expect(streams.map(summarize)).toEqual([WHOLE, WHOLE]);
  });

  it("one loss too many ends the engine", async () => {
    const { lossy, streams, rebuild } = await rebuilding({ maxDeviceLosses: 2 });
    forget(lossy);
    rebuild.fail(deviceLoss());
    await settle();
    const error = { code: "device_lost", data: { reason: "unknown", numLosses: 2 } };
    expect(streams.map((events) => events.at(-1))).toMatchObject(new Array(2).fill({ kind: "error", error }));
    lossy.engine.dispose();
  });
});

describe("an engine that is idle when the device is lost", () => {
  it("rebuilds when it is asked for something", async () => {
    const lossy = make();
    lossy.generate("r", LONG);
    await lossy.finish();
    await lossy.lose();
    expect([lossy.numLosses, lossy.devices.made.length]).toEqual([0, 1]);
    const stream = lossy.generate("s", LONG);
    await lossy.finish();
    expect([summarize(stream), lossy.numLosses, lossy.devices.made.length]).toEqual([WHOLE, 1, 2]);
    expect(kv(lossy).loads.numStarted).toBe(1);
  });
});

describe("losses", () => {
  async function loseAt(lossy: LossyEngine, clock: { ms: number }, times: readonly number[]): Promise<void> {
    for (const ms of times) {
      clock.ms = ms;
      await lossy.lose();
    }
  }
  const MINUTE = 60_000;

  it.each([
    [1, [0]],
    [2, [0, 5 * MINUTE - 1]],
    [3, [0, MINUTE, 5 * MINUTE - 1]],
    [3, [0, 4 * MINUTE, 6 * MINUTE, 8 * MINUTE]],
  ])("%d within five minutes end the engine: %j", async (maxDeviceLosses, times) => {
    const clock = { ms: 0 };
    const lossy = make({ maxDeviceLosses, now: () => clock.ms });
    forget(lossy);
    const stream = lossy.generate("r");
    await lossy.land(2);
    await loseAt(lossy, clock, times.slice(0, -1));
    expect(summarize(stream)).toBe('started "a" "b"');
    await loseAt(lossy, clock, times.slice(-1));
    const error = { code: "device_lost", data: { reason: "unknown", numLosses: maxDeviceLosses } };
    expect(stream.at(-1)).toMatchObject({ kind: "error", error });
    expect(summarize(stream)).toBe('started "a" "b" error:device_lost');
    expect(summarize(lossy.generate("s"))).toBe("error:device_lost");
    lossy.engine.dispose();
    expect(lossy.devices.made.map(({ numDisposals }) => numDisposals)).not.toContain(0);
  });

  it.each([
    [2, [0, 5 * MINUTE]],
    [3, [0, 4 * MINUTE, 5 * MINUTE, 9 * MINUTE]],
    [4, [0, 1, 2]],
  ])("fewer than %d in any five minutes do not: %j", async (maxDeviceLosses, times) => {
    const clock = { ms: 0 };
    const lossy = make({ maxDeviceLosses, now: () => clock.ms });
    const stream = lossy.generate("r");
    await lossy.land(2);
    await loseAt(lossy, clock, times);
    await lossy.finish();
    expect([summarize(stream), lossy.numLosses]).toEqual([WHOLE, times.length]);
  });
});
