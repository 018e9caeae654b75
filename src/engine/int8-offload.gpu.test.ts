import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openStorage } from "../offload/storage/open-storage";
import { openStorageHere } from "../offload/storage/storage-here";
import type { TokensByTier } from "../protocol/kv-messages";
import { filesSource } from "../testing/demo-model";
import { maxDifference, maxOf } from "../testing/differences";
import { topGap } from "../testing/goldens";
import { openDawnGpu } from "../testing/gpu";
import { COMMON_PREFIX, KV_CALLS_PROMPT } from "../testing/offload-cases";
import { OffloadRig, type RigEngine } from "../testing/offload-rig";
import { DEMO_MODEL } from "../testing/test-engine";

const gpu = await openDawnGpu();

const NUM_IDS = 12;
const LONG_PROMPT = [...COMMON_PREFIX, ...KV_CALLS_PROMPT, ...KV_CALLS_PROMPT.slice(0, 40)];
/** The largest error of a logit is measured as 0.019 over these prompts and ids; twice that may turn an argmax. */
const BOUND = { logit: 0.05, gap: 0.1 };
const NOWHERE: TokensByTier = { gpu: 0, host: 0, storage: 0 };

/** An engine with a store of its own fingerprint in this test's database. */
function start(rig: OffloadRig): RigEngine {
  const storage = { openStorage, connect: openStorageHere, namespace: "app", fingerprint: rig.parts.kvFingerprint };
  return rig.engine({ storage });
}

describe.skipIf(!gpu)("KV that comes back from int8", () => {
  let int8: OffloadRig;
  let exact: OffloadRig;
  beforeAll(async () => {
    const open = (offloadEncoding: "int8" | "exact") =>
      OffloadRig.open(gpu as GPU, {
        model: filesSource(DEMO_MODEL),
        engine: { useGemvUpToTokens: 1, offloadEncoding },
      });
    int8 = await open("int8");
    exact = await open("exact");
  });
  beforeEach(() => {
    globalThis.indexedDB = new IDBFactory();
  });
  afterAll(() => {
    int8.dispose();
    exact.dispose();
  });

  it.each([
    { promptIds: KV_CALLS_PROMPT, numLoaded: 64 },
    { promptIds: LONG_PROMPT, numLoaded: 160 },
  ])("gives the logits of f16 to within the bound, and its ids where they are certain", async (each) => {
    const { promptIds, numLoaded } = each;
    const plain = int8.engine({ usePrefixCache: false });
    const expected = await plain.ask(promptIds, NUM_IDS);
    await plain.rest();

    const rig = int8.engine();
    const first = await rig.ask(promptIds, 1);
    expect(maxDifference(first.logits[0], expected.logits[0])).toBe(0);
    await rig.rest();
    rig.scheduler.resetPrefixCache();
    const errors: number[] = [];
    let numCertain = 0;
    for (let step = 0; step < NUM_IDS; step++) {
      // The ids of f16, whatever int8 makes of them.
      const answer = await rig.ask([...promptIds, ...expected.tokenIds.slice(0, step)], 1);
      if (step === 0) expect(answer.found).toEqual({ ...NOWHERE, host: numLoaded });
      errors.push(maxDifference(answer.logits[0], expected.logits[step]));
      if (topGap(expected.logits[step]) < BOUND.gap) continue;
      expect(answer.tokenIds).toEqual([expected.tokenIds[step]]);
      numCertain++;
    }
    await rig.rest();
    console.info(`int8, ${numLoaded} of ${promptIds.length} tokens loaded: largest error of a logit ${maxOf(errors)}`);
    expect(errors[0]).toBeGreaterThan(0);
    expect(maxOf(errors)).toBeLessThan(BOUND.logit);
    expect(numCertain).toBeGreaterThan(NUM_IDS / 2);
  });

  it("takes (head dim + 4) / (2 head dim) of the bytes of f16, on every way and in every tier", async () => {
    const statsOf = async (rig: OffloadRig) => {
      const engine = start(rig);
      await engine.ask(KV_CALLS_PROMPT, 1);
      await engine.engine.kvFlush();
      await engine.engine.kvClear(["gpu"]);
      await engine.ask(KV_CALLS_PROMPT, 1);
      await engine.rest();
      const { host, loads, stores, storage, gpu } = engine.engine.kvStats();
      const bytes = [host!.chunkBytes, stores.bytes, loads.bytes, storage!.durableBytes];
      return { bytes, blockBytes: gpu.blockBytes };
    };
    const [small, large] = [await statsOf(int8), await statsOf(exact)];
    const { headDim } = int8.parts.geometry;
    console.info(
      `int8: ${small.bytes.join(", ")} bytes a chunk, stored, loaded, durable; f16: ${large.bytes.join(", ")}`,
    );
    expect(small.bytes).toEqual(large.bytes.map((bytes) => (bytes * (headDim + 4)) / (2 * headDim)));
    expect(small.blockBytes).toBe(large.blockBytes);
  });

  it("is the same from RAM and, after a restart, from storage, where it is written once", async () => {
    const warm = start(int8);
    await warm.ask(KV_CALLS_PROMPT, 1);
    await warm.engine.kvFlush();
    await warm.engine.kvClear(["gpu"]);
    const fromRam = await warm.ask(KV_CALLS_PROMPT, 3);
    expect(fromRam.found).toEqual({ ...NOWHERE, host: 64 });
    await warm.engine.kvFlush();
    const { bytesWrittenToday } = warm.engine.kvStats().storage!;
    await warm.end();

    const restarted = start(int8);
    const fromStorage = await restarted.ask(KV_CALLS_PROMPT, 3);
    expect(fromStorage).toEqual({ ...fromRam, found: { ...NOWHERE, storage: 64 } });
    await restarted.engine.kvFlush();
    expect(restarted.engine.kvStats().storage!.bytesWrittenToday).toBe(bytesWrittenToday);
    await restarted.end();
  });

  it("is found by int8 only, as exact KV is by exact engines only", async () => {
    const ask = async (rig: OffloadRig) => {
      const engine = start(rig);
      const { found } = await engine.ask(KV_CALLS_PROMPT, 1);
      await engine.engine.kvFlush();
      await engine.end();
      return found;
    };
    expect(await ask(int8)).toEqual(NOWHERE);
    expect(await ask(exact)).toEqual(NOWHERE);
    expect(await ask(int8)).toEqual({ ...NOWHERE, storage: 64 });
    expect(await ask(exact)).toEqual({ ...NOWHERE, storage: 64 });
  });
});
