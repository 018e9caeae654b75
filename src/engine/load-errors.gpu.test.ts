import { afterEach, describe, expect, it } from "vitest";
import { jsonFile, safetensorsFile } from "../loader/test-files";
import { fileOf, serveFiles, startTestServer } from "../loader/test-server";
import type { EngineInit } from "../protocol/messages";
import { type FileBytes, filesSource } from "../testing/demo-model";
import { withTensors } from "../testing/edit-safetensors";
import { openDawnGpu } from "../testing/gpu";
import { DEMO_MODEL, expectServing, loadTestEngine } from "../testing/test-engine";
import { WatchedGpu } from "../testing/watched-gpu";
import { CairnError, type ErrorCode } from "../util/errors";

const dawn = await openDawnGpu();
const watched = new WatchedGpu(dawn as GPU);

const WEIGHTS = "model.safetensors";
const CONFIG = readDemoJson("config.json");
const TOKENIZER = readDemoJson("tokenizer.json");

const withConfig = (fields: object): FileBytes => ({ "config.json": jsonFile({ ...CONFIG, ...fields }) });
const withWeights = (bytes: Uint8Array<ArrayBuffer>): FileBytes => ({ [WEIGHTS]: bytes });
const without = (name: string): FileBytes =>
  Object.fromEntries(Object.entries(DEMO_MODEL).filter(([file]) => file !== name));

function readDemoJson(name: string): Readonly<Record<string, unknown>> {
  return JSON.parse(new TextDecoder().decode(DEMO_MODEL[name]));
}

interface Refusal {
  readonly code: ErrorCode;
  readonly data: unknown;
  readonly message: string;
}

async function refusalOf(loading: Promise<unknown>): Promise<Refusal> {
  try {
    await loading;
  } catch (thrown) {
    if (!(thrown instanceof CairnError)) throw thrown;
    return { code: thrown.code, data: thrown.data, message: thrown.message };
  }
  throw new Error("the load went well");
}

afterEach(() => expect(watched.numLiveDevices).toBe(0));

interface FileCase {
  readonly fault: string;
  /** Laid over the good files. */
  readonly files: FileBytes;
  readonly code: ErrorCode;
  readonly data: unknown;
  readonly message: string;
}

const NORM = "model.norm.weight";
const weightBytes = DEMO_MODEL[WEIGHTS];
/** On the GPU: f16 matrices and f32 norms. */
const WEIGHT_BYTES = 6_537_216 + (6 * (4 * 192 + 2 * 64) + 192) * 4;

const FILE_CASES: readonly FileCase[] = [
  {
    fault: "weights cut short",
    files: withWeights(weightBytes.slice(0, -1000)),
    code: "invalid_safetensors",
    data: { file: WEIGHTS, reason: "the header describes 6557000 bytes, the file has 6556000" },
    message: `"${WEIGHTS}" is not a usable safetensors file: the header describes 6557000 bytes, the file has 6556000.`,
  },
  {
    fault: "weights cut short inside the header",
    files: withWeights(weightBytes.slice(0, 500)),
    code: "invalid_safetensors",
    data: { file: WEIGHTS, reason: expect.stringMatching(/^a header of \d+ bytes does not fit the file's 500 bytes$/) },
    message: expect.stringContaining(WEIGHTS),
  },
  {
    fault: "a header that lies about its own length",
    files: withWeights(new Uint8Array(64).fill(255)),
    code: "invalid_safetensors",
    data: { file: WEIGHTS, reason: expect.stringContaining("longer than the format allows") },
    message: expect.stringContaining("is this the right file?"),
  },
  {
    fault: "a header that lies about a tensor's bytes",
    files: withWeights(
      safetensorsFile({ [NORM]: { dtype: "F32", shape: [192], data_offsets: [0, 4] } }, new Uint8Array(4)),
    ),
    code: "invalid_safetensors",
    data: {
      file: WEIGHTS,
      reason: `tensor "${NORM}": shape [192] of F32 needs 768 bytes, data_offsets give 4`,
    },
    message: expect.stringContaining(NORM),
  },
  {
    fault: "a header with tensors over each other",
    files: withWeights(
      safetensorsFile(
        { a: { dtype: "U8", shape: [4], data_offsets: [0, 4] }, b: { dtype: "U8", shape: [4], data_offsets: [2, 6] } },
        new Uint8Array(6),
      ),
    ),
    code: "invalid_safetensors",
    data: { file: WEIGHTS, reason: expect.stringContaining('tensor "b" overlaps the tensor before it') },
    message: expect.stringContaining(WEIGHTS),
  },
  {
    fault: "an unknown architecture",
    files: withConfig({ model_type: "mamba" }),
    code: "unsupported_architecture",
    data: { modelType: "mamba" },
    message: 'The architecture "mamba" (model_type of config.json) is not supported.',
  },
  {
    fault: "a tensor of a dtype that Cairn does not read",
    files: withWeights(withTensors(weightBytes, { [NORM]: { dtype: "I8", shape: [192], bytes: new Uint8Array(192) } })),
    code: "unsupported_dtype",
    data: { tensor: NORM, dtype: "I8" },
    message: `Tensor ${NORM} is I8; F32, F16 and BF16 are supported.`,
  },
  {
    fault: "a tensor of another shape than the config asks for",
    files: withWeights(withTensors(weightBytes, { [NORM]: { dtype: "F32", shape: [96], bytes: new Uint8Array(384) } })),
    code: "tensor_shape",
    data: { tensor: NORM, expected: [192], actual: [96] },
    message: `Tensor ${NORM} has shape [96], but config.json asks for [192].`,
  },
  {
    fault: "a missing tensor",
    files: withWeights(withTensors(weightBytes, { [NORM]: null })),
    code: "tensor_missing",
    data: { tensor: NORM },
    message: `The checkpoint has no tensor ${NORM}.`,
  },
  {
    fault: "a config value out of range",
    files: withConfig({ num_hidden_layers: 0 }),
    code: "invalid_config",
    data: { field: "num_hidden_layers", value: 0 },
    message: "The model's config cannot be used: num_hidden_layers is 0, which must be an integer from 1 to 1024.",
  },
  {
    fault: "a config field that would change the maths",
    files: withConfig({ attn_logit_softcapping: 50 }),
    code: "invalid_config",
    data: { field: "attn_logit_softcapping", value: 50 },
    message: "The model's config cannot be used: attn_logit_softcapping is 50, which is not supported.",
  },
  {
    fault: "a config that is not JSON",
    files: { "config.json": new TextEncoder().encode("{,") },
    code: "invalid_config",
    data: { file: "config.json", reason: expect.any(String) },
    message: expect.stringContaining('"config.json" is not JSON'),
  },
  {
    fault: "a tokenizer that is not JSON",
    files: { "tokenizer.json": new TextEncoder().encode("<html>") },
    code: "invalid_tokenizer",
    data: { file: "tokenizer.json", reason: expect.any(String) },
    message: expect.stringContaining('"tokenizer.json" is not JSON'),
  },
  {
    fault: "a tokenizer without a model",
    files: { "tokenizer.json": jsonFile({ ...TOKENIZER, model: null }) },
    code: "invalid_tokenizer",
    data: { file: "tokenizer.json", reason: expect.any(String) },
    message: expect.stringContaining('"tokenizer.json" cannot be used'),
  },
];

describe.skipIf(!dawn)("loading refuses", () => {
  it.each(FILE_CASES)("$fault", async ({ files, code, data, message }) => {
    const refusal = await refusalOf(loadTestEngine(watched.gpu, { model: filesSource({ ...DEMO_MODEL, ...files }) }));
    expect(refusal).toEqual({ code, data, message });
    expect(watched.devices).toEqual([]);
  });

  it.each(["config.json", "tokenizer.json", WEIGHTS])("files without %s", async (file) => {
    const refusal = await refusalOf(loadTestEngine(watched.gpu, { model: filesSource(without(file)) }));
    const message = `"${file}" is not among the chosen files.`;
    expect(refusal).toEqual({ code: "model_file_missing", data: { file }, message });
  });

  const SETTINGS: readonly (readonly [Partial<EngineInit>, ErrorCode, unknown])[] = [
    [{ maxModelLen: 1025 }, "invalid_request", { param: "maxModelLen", value: 1025, maxPositionEmbeddings: 1024 }],
    [{ engine: { maxNumRunning: 0 } }, "invalid_request", { param: "engine.maxNumRunning", value: 0 }],
    [{ engine: { turbo: true } }, "unsupported_parameter", { param: "engine.turbo" }],
  ];
  it.each(SETTINGS)("the settings %j", async (init, code, data) => {
    expect(await refusalOf(loadTestEngine(watched.gpu, init))).toMatchObject({ code, data });
  });
});

describe.skipIf(!dawn)("loading from a server refuses", () => {
  it.each(["config.json", "tokenizer.json", WEIGHTS])("%s answered with 404", async (file) => {
    await using server = await startTestServer(serveFiles(without(file)));
    const refusal = await refusalOf(loadTestEngine(watched.gpu, { model: { kind: "url", url: server.url } }));
    const message = `"${file}" is not at ${server.url}${file} (HTTP 404).`;
    expect(refusal).toEqual({ code: "model_file_missing", data: { file, status: 404 }, message });
  });

  it.each(["config.json", "tokenizer.json", WEIGHTS])("%s answered with the app's page", async (file) => {
    const serveModel = serveFiles(DEMO_MODEL);
    await using server = await startTestServer((request, response) => {
      // The index of shards, too, where the weights are asked for.
      if (!fileOf(request).startsWith(file)) return serveModel(request, response);
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<!doctype html><title>App</title>");
    });
    const refusal = await refusalOf(loadTestEngine(watched.gpu, { model: { kind: "url", url: server.url } }));
    const message = `"${file}" is not at ${server.url}${file}: the server sent an HTML page.`;
    expect(refusal).toEqual({ code: "model_file_missing", data: { file, status: 200 }, message });
  });

  it("weights that end early while they stream, and lets the device go", async () => {
    const cut = { ...DEMO_MODEL, [WEIGHTS]: weightBytes.subarray(0, 2_000_000) };
    const [serveModel, serveCut] = [serveFiles(DEMO_MODEL), serveFiles(cut, { hideSize: true })];
    await using server = await startTestServer((request, response) => {
      const isStream = fileOf(request) === WEIGHTS && !request.headers.range;
      (isStream ? serveCut : serveModel)(request, response);
    });
    const numDevices = watched.devices.length;
    const refusal = await refusalOf(loadTestEngine(watched.gpu, { model: { kind: "url", url: server.url } }));
    expect(refusal).toMatchObject({
      code: "invalid_safetensors",
      data: { file: WEIGHTS, reason: expect.stringMatching(/^it ends at byte 2000000, before the end of tensor "/) },
    });
    expect(watched.devices).toHaveLength(numDevices + 1);
  });

  it("a connection that breaks while the weights stream, where the rest is refused", async () => {
    const serveModel = serveFiles(DEMO_MODEL);
    let isBroken = false;
    await using server = await startTestServer((request, response) => {
      if (isBroken) return response.writeHead(401).end();
      if (fileOf(request) !== WEIGHTS || request.headers.range) return serveModel(request, response);
      isBroken = true;
      response.writeHead(200, { "content-length": weightBytes.length });
      response.write(weightBytes.subarray(0, 2_000_000), () => response.destroy());
    });
    const refusal = await refusalOf(loadTestEngine(watched.gpu, { model: { kind: "url", url: server.url } }));
    expect(refusal).toMatchObject({ code: "network", data: { file: WEIGHTS, status: 401 } });
  });
});

describe.skipIf(!dawn)("memory", () => {
  it("too little of it is refused with the numbers, before any weight is asked for", async () => {
    await using server = await startTestServer(serveFiles(DEMO_MODEL));
    const { code, data, message } = await refusalOf(
      loadTestEngine(watched.gpu, {
        model: { kind: "url", url: server.url },
        engine: { gpuMemoryBytes: 8_000_000 },
      }),
    );
    expect({ code, data }).toEqual({
      code: "out_of_memory",
      data: {
        neededBytes: expect.any(Number),
        availableBytes: 8_000_000,
        weightBytes: WEIGHT_BYTES,
        kvCacheBytes: expect.any(Number),
        stepStateBytes: expect.any(Number),
        scratchBytes: expect.any(Number),
        stagingBytes: expect.any(Number),
        maxModelLen: 1024,
        longestModelLen: 0,
      },
    });
    const { neededBytes, availableBytes, maxModelLen, longestModelLen, ...parts } = data as Record<string, number>;
    expect(neededBytes).toBe(Object.values(parts).reduce((sum, bytes) => sum + bytes));
    for (const bytes of [neededBytes, availableBytes, maxModelLen, ...Object.values(parts)]) {
      expect(message).toContain(String(bytes));
    }
    expect(longestModelLen).toBe(0);
    const weightRequests = server.requests.filter(({ path }) => path.endsWith(WEIGHTS));
    expect(weightRequests).toEqual([{ path: "/models/tiny/model.safetensors", range: "bytes=0-262143" }]);
  });

  it("a context that fits is named where the asked one does not", async () => {
    const init = { maxModelLen: 1024, engine: { gpuMemoryBytes: 12_600_000 } };
    const { code, data, message } = await refusalOf(loadTestEngine(watched.gpu, init));
    const { longestModelLen } = data as { longestModelLen: number };
    expect(code).toBe("out_of_memory");
    expect(longestModelLen).toBeGreaterThan(0);
    expect(longestModelLen).toBeLessThan(1024);
    expect(message).toContain(`${longestModelLen} tokens fit.`);
  });

  it("a pool that the device refuses is halved until it fits", async () => {
    const maxBytes = 4_000_000;
    const picky = new WatchedGpu(dawn as GPU, {
      refuses: ({ label, size }) => label === "kv.plane0" && size > maxBytes,
    });
    const engine = await loadTestEngine(picky.gpu, { maxModelLen: 256 });
    const { numBlocks, kvCacheBytes } = engine.info;
    const pageBytes = kvCacheBytes / numBlocks;
    expect(kvCacheBytes).toBeLessThanOrEqual(maxBytes);
    expect(2 * (numBlocks + 1) * pageBytes).toBeGreaterThan(maxBytes);
    await expectServing(engine);
    engine.dispose();
    expect(picky.bufferBytes).toBe(0);
  });

  it("a pool is as large as one layer of it may be in a binding", async () => {
    const maxBindingBytes = 2_000_000;
    const narrow = new WatchedGpu(dawn as GPU, { maxBindingBytes });
    const engine = await loadTestEngine(narrow.gpu);
    const { kvCacheBytes, numBlocks } = engine.info;
    const layerBytes = kvCacheBytes / 2;
    expect(layerBytes).toBeLessThanOrEqual(maxBindingBytes);
    expect(layerBytes + layerBytes / numBlocks).toBeGreaterThan(maxBindingBytes);
    await expectServing(engine);
    engine.dispose();
  });

  it("a device whose bindings hold no row of logits is refused with the limit, before any weight is asked for", async () => {
    await using server = await startTestServer(serveFiles(DEMO_MODEL));
    const narrow = new WatchedGpu(dawn as GPU, { maxBindingBytes: 1_500_000 });
    const model = { kind: "url", url: server.url } as const;
    const init = { model, maxModelLen: 64, engine: { maxNumRunning: 200 } };
    const { code, data } = await refusalOf(loadTestEngine(narrow.gpu, init));
    const [limit, buffer, needed] = ["maxStorageBufferBindingSize", "scratch.logits", 2 * 200 * 2048 * 4];
    const lengths = { maxModelLen: 64, longestModelLen: 0 };
    expect({ code, data }).toEqual({
      code: "device_limit",
      data: { limit, needed, available: 1_500_000, buffer, ...lengths },
    });
    expect(narrow.devices).toEqual([]);
    expect(server.requests.filter(({ path }) => path.endsWith(WEIGHTS))).toHaveLength(1);
  });

  it("a device that has no room for one context says how much it refused", async () => {
    const picky = new WatchedGpu(dawn as GPU, { refuses: ({ label }) => label === "kv.plane0" });
    const refusal = await refusalOf(loadTestEngine(picky.gpu));
    expect(refusal).toMatchObject({
      code: "out_of_memory",
      data: { label: "kv", neededBytes: expect.any(Number), heldBytes: expect.any(Number) },
    });
    const { neededBytes, heldBytes } = refusal.data as Record<string, number>;
    expect(refusal.message).toContain(String(neededBytes));
    expect(refusal.message).toContain(String(heldBytes));
    expect(heldBytes).toBeGreaterThan(WEIGHT_BYTES);
    expect(picky.numLiveDevices).toBe(0);
  });

  it("a device that refuses a small buffer ends the load", async () => {
    const picky = new WatchedGpu(dawn as GPU, { refuses: ({ label }) => label === "norms" });
    const refusal = await refusalOf(loadTestEngine(picky.gpu));
    expect(refusal).toMatchObject({ code: "gpu_error", message: expect.stringContaining("norms") });
    expect(picky.numLiveDevices).toBe(0);
  });
});

describe.skipIf(!dawn)("an aborted load", () => {
  it("asks for nothing when it was aborted before", async () => {
    await using server = await startTestServer(serveFiles(DEMO_MODEL));
    const init = { model: { kind: "url", url: server.url } } as const;
    const refusal = await refusalOf(loadTestEngine(watched.gpu, init, { signal: AbortSignal.abort() }));
    expect(refusal).toMatchObject({ code: "aborted", data: {} });
    expect(server.requests).toEqual([]);
  });

  it.each(["config", "device", "weights", "compile"] as const)("ends in its phase %s", async (phase) => {
    const controller = new AbortController();
    const onProgress = (progress: { phase: string }) => {
      if (progress.phase === phase) controller.abort();
    };
    const refusal = await refusalOf(loadTestEngine(watched.gpu, {}, { onProgress, signal: controller.signal }));
    expect(refusal).toMatchObject({ code: "aborted", data: {} });
  });
});

describe("a browser without a GPU", () => {
  const LIMITS = { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 };
  const gpuWith = (requestAdapter: () => Promise<unknown>) => ({ requestAdapter }) as unknown as GPU;

  it("is told from one without WebGPU", async () => {
    const gpu = gpuWith(async () => null);
    const adapter = { powerPreference: "low-power", forceFallback: true } as const;
    expect(await refusalOf(loadTestEngine(gpu, { adapter }))).toEqual({
      code: "no_adapter",
      data: adapter,
      message: "WebGPU is present, but it offers no adapter (GPU) for this request.",
    });
  });

  it("says what the adapter said that gives no device", async () => {
    const requestDevice = () => Promise.reject(new TypeError("adapter is consumed"));
    const gpu = gpuWith(async () => ({ features: new Set(), limits: LIMITS, requestDevice }));
    expect(await refusalOf(loadTestEngine(gpu))).toEqual({
      code: "gpu_error",
      data: { label: "device" },
      message: "The adapter refused a device: adapter is consumed",
    });
  });
});

describe.skipIf(!dawn)("after all these failures", () => {
  it("a good load answers", async () => {
    await using server = await startTestServer(serveFiles(DEMO_MODEL));
    const engine = await loadTestEngine(watched.gpu, { model: { kind: "url", url: server.url, cache: false } });
    expect(engine.info).toMatchObject({ modelId: "tiny", vocabSize: 2048, warnings: [] });
    await expectServing(engine);
    engine.dispose();
    await watched.device.lost;
    expect(watched.bufferBytes).toBeGreaterThan(0);
  });

  it("what generation_config.json asks for and Cairn does not do is a warning", async () => {
    const generation = jsonFile({ eos_token_id: [1, 5], no_repeat_ngram_size: 3 });
    const files = { ...DEMO_MODEL, "generation_config.json": generation };
    const engine = await loadTestEngine(watched.gpu, { model: filesSource(files) });
    expect(engine.info.warnings).toEqual([
      "generation_config.json sets no_repeat_ngram_size, which Cairn does not apply yet.",
    ]);
    engine.dispose();
  });
});
