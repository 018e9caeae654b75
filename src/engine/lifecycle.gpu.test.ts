import { describe, expect, it } from "vitest";
import { type FileBytes, filesSource } from "../testing/demo-model";
import { openDawnGpu } from "../testing/gpu";
import { loadPart } from "../testing/lazy-parts";
import { DEMO_MODEL, expectServing, GREETING, loadTestEngine, TestRequest } from "../testing/test-engine";
import { WatchedGpu } from "../testing/watched-gpu";
import { EngineService } from "../worker/engine-service";
import { loadEngine } from "./load-engine";
import { planMemory } from "./plan-memory";

const dawn = await openDawnGpu();
const init = { model: filesSource(DEMO_MODEL as FileBytes) };

describe.skipIf(!dawn)("a lost device that is the one too many", () => {
  const last = { engine: { maxDeviceLosses: 1 } };

  it("ends the live requests and every later one with device_lost", async () => {
    const watched = new WatchedGpu(dawn as GPU);
    const engine = await loadTestEngine(watched.gpu, last);
    const lost = { code: "device_lost", data: { reason: "destroyed", numLosses: 1 } };
    const live: TestRequest = new TestRequest(engine, {}, (event) => {
      if (event.kind === "delta" && live.events.length === 3) watched.device.destroy();
    });
    const beside = new TestRequest(engine, {});
    const { end, tokenIds } = await live.outcome;
    expect(end).toMatchObject(lost);
    expect(tokenIds).toEqual(GREETING.greedyIds.slice(0, tokenIds.length));
    expect((await beside.outcome).end).toMatchObject(lost);
    expect((await new TestRequest(engine, {}).outcome).end).toMatchObject(lost);
    engine.dispose();
    expect(watched.bufferBytes).toBe(0);
  });

  it("is noticed by the next request when it is lost between two", async () => {
    const watched = new WatchedGpu(dawn as GPU);
    const engine = await loadTestEngine(watched.gpu, last);
    watched.device.destroy();
    expect((await new TestRequest(engine, {}).outcome).end).toMatchObject({ code: "device_lost" });
    engine.dispose();
  });

  it.each(["weights", "compile"] as const)("ends the load in its phase %s", async (phase) => {
    const watched = new WatchedGpu(dawn as GPU);
    const onProgress = (progress: { phase: string }) => {
      if (progress.phase === phase) watched.device.destroy();
    };
    await expect(loadTestEngine(watched.gpu, {}, { onProgress })).rejects.toMatchObject({ code: "device_lost" });
    expect(watched.numLiveDevices).toBe(0);
  });
});

describe.skipIf(!dawn)("dispose", () => {
  it("ends live requests with `disposed`, and frees every buffer and the device; twice is once", async () => {
    const watched = new WatchedGpu(dawn as GPU);
    const engine = await loadTestEngine(watched.gpu);
    const live: TestRequest = new TestRequest(engine, {}, (event) => {
      if (event.kind === "delta" && live.events.length === 3) engine.dispose();
    });
    const beside = new TestRequest(engine, {});
    const disposed = { code: "disposed", message: "The engine was disposed." };
    for (const request of [live, beside]) expect((await request.outcome).end).toMatchObject(disposed);
    engine.dispose();
    expect((await new TestRequest(engine, {}).outcome).end).toMatchObject(disposed);
    engine.abort(live.requestId);
    expect(watched.bufferBytes).toBe(0);
    expect(await watched.device.lost).toMatchObject({ reason: "destroyed" });
    const numEvents = live.events.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(live.events).toHaveLength(numEvents);
  });

  it("while the weights stream ends the load, through the worker's service", async () => {
    const watched = new WatchedGpu(dawn as GPU);
    const service = new EngineService({
      gpu: watched.gpu,
      load: (init, context) => loadEngine(init, { ...context, loadPart }),
      plan: (init, context) => planMemory(init, { ...context, loadPart }),
    });
    let disposing: Promise<void> | null = null;
    const loading = service.init(
      init,
      ({ phase }) => {
        if (phase === "weights") disposing ??= service.dispose();
      },
      null,
      null,
    );
    await expect(loading).rejects.toMatchObject({ code: "disposed" });
    await disposing;
    expect(watched.devices).toHaveLength(1);
    expect(watched.numLiveDevices).toBe(0);
  });
});

describe.skipIf(!dawn)("memory", () => {
  it("does not grow from one load to the next, nor with requests", async () => {
    const watched = new WatchedGpu(dawn as GPU);
    const heldBytes: number[] = [];
    for (let load = 0; load < 2; load++) {
      const engine = await loadTestEngine(watched.gpu);
      const loadedBytes = watched.bufferBytes;
      await expectServing(engine);
      expect(watched.bufferBytes).toBe(loadedBytes);
      heldBytes.push(loadedBytes);
      engine.dispose();
      expect(watched.bufferBytes).toBe(0);
    }
    expect(heldBytes[1]).toBe(heldBytes[0]);
    expect(heldBytes[0]).toBeGreaterThan(6_537_216);
    await watched.device.lost;
    expect(watched.numLiveDevices).toBe(0);
  });
});
