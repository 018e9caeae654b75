import { describe, expect, it } from "vitest";
import { settle, summarize } from "../testing/engine-parts";
import { deviceLoss } from "../testing/scripted-devices";
import { CairnError, toWireError } from "../util/errors";
import { LONG, type LossyEngine, type LossyOptions, lossyEngines, penalized, WHOLE } from "./recovery.fixture";

const { make, forget } = lossyEngines();
const kv = (lossy: LossyEngine) => lossy.engine.kvStats();

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
