import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { EngineInit } from "../protocol/messages";
import { FAKE_PLAN, FakeEngine, type FakePlan, FakeWorker } from "../testing/fake-engine-worker";
import { CairnError } from "../util/errors";
import { planMemory } from "./plan-memory";

const MODEL = "https://models.test/tiny/";
const workers: FakeWorker[] = [];
let plan: FakePlan;
const load = vi.fn(async () => new FakeEngine());

beforeEach(() => {
  plan = async () => FAKE_PLAN;
  vi.stubGlobal(
    "Worker",
    class extends FakeWorker {
      constructor() {
        super(load, undefined, (init, context) => plan(init, context));
        workers.push(this);
      }
    },
  );
});

afterEach(() => {
  vi.unstubAllGlobals();
  for (const worker of workers.splice(0)) worker.terminate();
  expect(load).not.toHaveBeenCalled();
});

const planTiny = (options: object = {}) => planMemory(MODEL, { workerUrl: "/worker.js", ...options });
const expectEnded = () => vi.waitFor(() => expect(workers.map(({ isTerminated }) => isTerminated)).toEqual([true]));

it("asks a worker with createEngine's options as plain data, and ends it", async () => {
  let seen: EngineInit | null = null;
  plan = async (init) => {
    seen = init;
    return FAKE_PLAN;
  };
  const options = { maxModelLen: 32, kvDtype: "f32", kvCacheBytes: 4096, engine: { maxNumRunning: 2 } };
  expect(await planTiny(options)).toEqual(FAKE_PLAN);
  expect(seen).toMatchObject({ model: { kind: "url", url: MODEL }, ...options });
  await expectEnded();
});

it("keeps the code and data of what the planning threw, and ends the worker", async () => {
  const data = { neededBytes: 3, availableBytes: 2, longestModelLen: 0 };
  plan = () => Promise.reject(new CairnError("out_of_memory", "too much", data));
  await expect(planTiny()).rejects.toMatchObject({ code: "out_of_memory", data });
  await expectEnded();
});

it("rejects with worker_failed when the worker dies while it plans", async () => {
  plan = () => {
    queueMicrotask(() => workers[0].fail("SyntaxError"));
    return new Promise(() => {});
  };
  const data = { reason: "SyntaxError", url: "/worker.js" };
  await expect(planTiny()).rejects.toMatchObject({ code: "worker_failed", data });
  await expectEnded();
});

it("starts no worker for a signal that is aborted already", async () => {
  await expect(planTiny({ signal: AbortSignal.abort("no") })).rejects.toMatchObject({ code: "aborted", cause: "no" });
  expect(workers).toEqual([]);
});

it("aborts a plan under way, tells the worker and then ends it", async () => {
  const controller = new AbortController();
  let signalInWorker: AbortSignal | null = null;
  plan = (_, { signal }) => {
    signalInWorker = signal;
    queueMicrotask(() => controller.abort("enough"));
    return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
  await expect(planTiny({ signal: controller.signal })).rejects.toMatchObject({ code: "aborted", cause: "enough" });
  await expectEnded();
  expect(signalInWorker!.aborted).toBe(true);
});

it.each([
  [{ maxModelLen: 0 }, "invalid_request", "maxModelLen"],
  [{ model: MODEL }, "unsupported_parameter", "model"],
  [{ onProgress: () => {} }, "unsupported_parameter", "onProgress"],
  [{ turbo: true }, "unsupported_parameter", "turbo"],
])("refuses the options %j", async (options, code, param) => {
  await expect(planTiny(options)).rejects.toMatchObject({ code, data: { param } });
  expect(workers).toEqual([]);
});
