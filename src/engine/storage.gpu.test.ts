import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openStorageHere } from "../offload/storage/storage-here";
import { filesSource } from "../testing/demo-model";
import { openDawnGpu } from "../testing/gpu";
import { COMMON_PREFIX, KV_CALLS_PROMPT, SUFFIXES } from "../testing/offload-cases";
import { StorageScenarios } from "../testing/storage-scenarios";
import { DEMO_MODEL } from "../testing/test-engine";

const gpu = await openDawnGpu();

const NOWHERE = { gpu: 0, host: 0, storage: 0 };
const NUM_IDS = 3;
/** Of 69 prompt tokens, two chunks of 32. */
const NUM_STORED = 64;
const prompt = KV_CALLS_PROMPT;

describe.skipIf(!gpu)("KV in storage, in f16", () => {
  let storage: StorageScenarios;
  beforeAll(async () => {
    const engine = { useGemvUpToTokens: 1 };
    storage = await StorageScenarios.open(gpu as GPU, { model: filesSource(DEMO_MODEL), engine }, openStorageHere);
  });
  beforeEach(() => {
    globalThis.indexedDB = new IDBFactory();
  });
  afterAll(() => storage.dispose());

  /** Computes the prompt in an engine of its own, until it is durable. */
  async function seed(namespace = "app", options = {}): Promise<readonly number[]> {
    await storage.start({ namespace });
    const { found, tokenIds } = await storage.ask(prompt, NUM_IDS, options);
    expect(found).toEqual(NOWHERE);
    await storage.flush();
    return tokenIds;
  }

  it("a prompt is not computed again after a restart: its ids are the same, and nothing was written twice", async () => {
    const tokenIds = await seed();
    const { storage: written } = storage.stats();
    expect(written).toMatchObject({ state: "ready", notYetDurableBytes: 0, lastFault: null, numDropped: 0 });

    await storage.start({ namespace: "app" });
    const again = await storage.ask(prompt, NUM_IDS);
    expect(again).toEqual({ tokenIds, end: "length", found: { ...NOWHERE, storage: NUM_STORED } });
    const stats = storage.stats();
    expect(stats.tokens).toEqual({
      computed: prompt.length + NUM_IDS - 1 - NUM_STORED,
      gpu: 0,
      host: 0,
      storage: NUM_STORED,
    });
    await storage.flush();
    await storage.rest();
    expect(storage.stats().storage).toMatchObject({
      numChunks: written?.numChunks,
      bytesWrittenToday: written?.bytesWrittenToday,
      numFailed: 0,
    });
  });

  it("6 requests at once with a stored prefix cause one promotion and one load", async () => {
    await storage.start({ namespace: "app" });
    await storage.ask(COMMON_PREFIX, 1);
    await storage.flush();
    const { numChunks } = storage.stats().storage!;

    await storage.start({ namespace: "app" });
    const prompts = SUFFIXES.map((suffix) => [...COMMON_PREFIX, ...suffix]);
    const { alone, together, stats } = await storage.askTogether(prompts, 2);
    expect(together.map(({ tokenIds }) => tokenIds)).toEqual(alone);
    expect(together.map(({ found }) => found)).toEqual([
      { ...NOWHERE, storage: 64 },
      ...new Array(5).fill({ ...NOWHERE, gpu: 64 }),
    ]);
    expect(stats.loads.numStarted).toBe(1);
    expect(stats.storage).toMatchObject({ numPromoted: numChunks, numFailed: 0 });
  });

  it("a prefix that RAM cannot hold is loaded as far as it fits, and computed from there", async () => {
    const long = Array.from({ length: 300 }, (_, i) => prompt[i % prompt.length]);
    await storage.start({ namespace: "app" });
    const { tokenIds } = await storage.ask(long, NUM_IDS);
    await storage.flush();

    // Half of 18 slots, for chunks of three groups.
    await storage.start({ namespace: "app", numHostSlots: 18 });
    const again = await storage.ask(long, NUM_IDS);
    expect(again.tokenIds).toEqual(tokenIds);
    const loaded = again.found!.storage;
    expect([again.found!.gpu, again.found!.host, loaded % 32]).toEqual([0, 0, 0]);
    expect(loaded).toBeGreaterThanOrEqual(64);
    expect(loaded).toBeLessThan(288);
    await storage.rest();
  });

  it("no other namespace, salt or fingerprint finds it", async () => {
    const tokenIds = await seed("app", { cacheSalt: "mine" });
    const others = [
      [{ namespace: "app" }, {}],
      [{ namespace: "app" }, { cacheSalt: "yours" }],
      [{ namespace: "other" }, { cacheSalt: "mine" }],
      [{ namespace: "app", fingerprint: "0".repeat(32) }, { cacheSalt: "mine" }],
    ] as const;
    for (const [session, request] of others) {
      await storage.start(session);
      expect(await storage.ask(prompt, NUM_IDS, request)).toEqual({ tokenIds, end: "length", found: NOWHERE });
    }
    await storage.start({ namespace: "app" });
    expect((await storage.ask(prompt, NUM_IDS, { cacheSalt: "mine" })).found).toEqual({
      ...NOWHERE,
      storage: NUM_STORED,
    });
  });

  it.each(["ram", "none"] as const)("a request with kv.store %j leaves nothing there", async (kvStore) => {
    await seed("app", { kvStore });
    expect(storage.stats().storage).toMatchObject({ numChunks: 0, bytesWrittenToday: 0 });
    expect(storage.stats().host!.numIdleSlots > 0).toBe(kvStore === "ram");
    await storage.start({ namespace: "app" });
    expect((await storage.ask(prompt, NUM_IDS)).found).toEqual(NOWHERE);
  });

  it("prefetch brings it to the GPU, clear deletes it, flush waits for it", async () => {
    await seed();
    await storage.start({ namespace: "app" });
    expect((await storage.prefetch(prompt)).tokens).toEqual({ ...NOWHERE, storage: NUM_STORED });
    expect((await storage.ask(prompt, NUM_IDS)).found).toEqual({ ...NOWHERE, gpu: NUM_STORED });

    await storage.clear(["gpu", "host", "storage"]);
    expect(storage.stats().storage).toMatchObject({ numChunks: 0, usedBytes: 0 });
    expect((await storage.ask(prompt, NUM_IDS)).found).toEqual(NOWHERE);
    await storage.clear(["storage"]);
    await storage.flush();
    const { numChunks } = storage.stats().storage!;
    await storage.start({ namespace: "app" });
    await storage.ask([5], 1); // The index is there when this has been answered.
    expect(storage.stats().storage!.numChunks).toBe(numChunks);
  });

  it("over its cap the least recently used goes, and KV past its time is not found", async () => {
    await seed();
    const { durableBytes } = storage.stats().storage!;
    const config = { storageBytes: durableBytes };
    await storage.start({ namespace: "app", config });
    await storage.ask(COMMON_PREFIX, NUM_IDS);
    await storage.flush();
    expect(storage.stats().storage!.usedBytes).toBeLessThanOrEqual(durableBytes);
    await storage.start({ namespace: "app", config });
    expect((await storage.ask([...COMMON_PREFIX, 5], 1)).found).toEqual({ ...NOWHERE, storage: 64 });
    expect((await storage.ask(prompt, 1)).found!.storage).toBeLessThan(NUM_STORED);

    await storage.start({ namespace: "app", config: { storageTtlMs: 1 } });
    expect((await storage.ask([...COMMON_PREFIX, 5], 1)).found).toEqual(NOWHERE);
  });
});

describe.skipIf(!gpu)("KV in storage, of models that differ a little", () => {
  const edit = (change: (config: Record<string, unknown>) => void) => {
    const config = JSON.parse(new TextDecoder().decode(DEMO_MODEL["config.json"]));
    change(config);
    return { ...DEMO_MODEL, "config.json": new TextEncoder().encode(JSON.stringify(config)) };
  };
  /** The last weight of the last tensor, by its last bit. */
  const oneWeight = () => {
    const weights = DEMO_MODEL["model.safetensors"].slice();
    weights[weights.length - 2] ^= 1;
    return { ...DEMO_MODEL, "model.safetensors": weights };
  };
  const MODELS = {
    "the same": { files: DEMO_MODEL },
    "one weight": { files: oneWeight() },
    "one rope factor": { files: edit((config) => Object.assign(config, { rope_theta: 100_001 })) },
    "one group": {
      files: edit(({ layer_types: kinds }) => (kinds as string[]).splice(0, 1, "full_attention")),
    },
    "the KV's numbers": { files: DEMO_MODEL, kvDtype: "f32" as const },
    "the weights' numbers": { files: DEMO_MODEL, quantization: "q8_0" as const },
    "the stored KV's numbers": { files: DEMO_MODEL, engine: { offloadEncoding: "int8" as const } },
  };

  it("only the same model finds it", async () => {
    globalThis.indexedDB = new IDBFactory();
    const found: Record<string, number | undefined> = {};
    for (const [difference, { files, ...init }] of [["seed", MODELS["the same"]] as const, ...Object.entries(MODELS)]) {
      const storage = await StorageScenarios.open(gpu as GPU, { model: filesSource(files), ...init }, openStorageHere);
      await storage.start({ namespace: "app" });
      found[difference] = (
        await storage.ask(prompt, 1, difference === "seed" ? {} : { kvStore: "none" })
      ).found?.storage;
      await storage.flush();
      storage.dispose();
    }
    expect(found).toEqual({
      seed: 0,
      "the same": NUM_STORED,
      "one weight": 0,
      "one rope factor": 0,
      "one group": 0,
      "the KV's numbers": 0,
      "the weights' numbers": 0,
      "the stored KV's numbers": 0,
    });
  });
});
