import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { roundToQuants } from "../kernels/reference/quantize";
import { parseModelConfig } from "../models/parse-config";
import { filesSource, readDemoModel } from "../testing/demo-model";
import { EngineHarness } from "../testing/engine-harness";
import { GOLDEN_BOUNDS, type GoldenJob, SINGLE_MODE } from "../testing/golden-job";
import { loadGoldenJobs } from "../testing/goldens";
import { openDawnGpu } from "../testing/gpu";
import { referenceJob } from "../testing/reference-job";
import { ReferenceModel } from "../testing/reference-model";
import { decodeSafetensors, encodeSafetensors, type Tensor, type TensorMap } from "../testing/safetensors";
import { GREETING, loadTestEngine, TestRequest } from "../testing/test-engine";
import { WatchedGpu } from "../testing/watched-gpu";

const gpu = await openDawnGpu();
const DEMO = readDemoModel();
const WEIGHTS = "model.safetensors";
const JOBS = loadGoldenJobs().get("cairn-stories-3M")?.jobs ?? [];

/** Matrices become what they are worth once quantized, embedding and head in q8_0; norms stay. */
function dequantized(type: "q8_0" | "q4_0", tensors: TensorMap): TensorMap {
  const rounded = [...tensors].map(([name, { shape, data }]) => {
    if (shape.length < 2) return [name, { shape, data }] as const;
    const isOuter = /embed_tokens|lm_head/.test(name);
    return [name, { shape, data: roundToQuants(isOuter ? "q8_0" : type, data, shape[1]) }] as const;
  });
  return new Map(rounded);
}

function quantizedReference(type: "q8_0" | "q4_0"): ReferenceModel {
  const config = parseModelConfig(JSON.parse(new TextDecoder().decode(DEMO["config.json"])), null);
  return ReferenceModel.fromTensors(config, dequantized(type, decodeSafetensors(DEMO[WEIGHTS])));
}

const firstSteps = (job: GoldenJob, numSteps: number): GoldenJob => ({
  ...job,
  greedyIds: job.greedyIds.slice(0, numSteps),
  stepGaps: job.stepGaps.slice(0, numSteps),
});

// The one with f16 in KV and tiles, the other in slices and all f32.
describe.skipIf(!gpu).each([
  { quantization: "q8_0", kvDtype: "f16", maxModelLen: 512, maxBindingBytes: undefined, numEmbeddingSlices: 1 },
  { quantization: "q4_0", kvDtype: "f32", maxModelLen: 32, maxBindingBytes: 135_000, numEmbeddingSlices: 4 },
] as const)("the embedded model in $quantization with $kvDtype KV", (options) => {
  const { quantization, kvDtype, maxModelLen, maxBindingBytes, numEmbeddingSlices } = options;
  let harness: EngineHarness;
  let watched: WatchedGpu;
  beforeAll(async () => {
    watched = new WatchedGpu(gpu as GPU, { maxBindingBytes });
    const engine = { useGemvUpToTokens: 1, maxNumRunning: 1, maxNumBatchedTokens: maxModelLen };
    const init = { model: filesSource(DEMO), quantization, kvDtype, maxModelLen, engine };
    harness = await EngineHarness.open(watched.gpu, init);
  });
  afterAll(() => harness.dispose());

  it("gives the logits and ids of float64 over the dequantized weights", async () => {
    const { promptIds } = JOBS.reduce((shortest, job) =>
      job.promptIds.length < shortest.promptIds.length ? job : shortest,
    );
    const job = referenceJob(quantization, quantizedReference(quantization), promptIds, 8);
    expect(await harness.checkGoldens([job], GOLDEN_BOUNDS[kvDtype], SINGLE_MODE)).toEqual([]);
  });

  it("says so, has as many slices as it needs, and the hash of its file", () => {
    const { info, weightsHash } = harness.parts;
    expect(info.quantization).toBe(quantization);
    const hash = createHash("sha256").update(DEMO[WEIGHTS]).digest("hex");
    const expected = createHash("sha256").update(`${WEIGHTS} ${hash}\n`).digest("hex");
    expect(weightsHash).toBe(expected.slice(0, 32));
    const labels = watched.bufferLabels;
    expect(labels.filter((label) => label === "embedding")).toHaveLength(numEmbeddingSlices);
  });

  if (quantization !== "q8_0") return;
  it("chats with the golden ids wherever the two best logits are over 0.5 apart", async () => {
    const bounds = { gap: 0.5, logit: Number.POSITIVE_INFINITY };
    const jobs = process.env.CAIRN_SOAK ? JOBS : JOBS.map((job) => firstSteps(job, 16));
    expect(await harness.checkGoldens(jobs, bounds, SINGLE_MODE)).toEqual([]);
  });
});

it.skipIf(!gpu)("a weight that is not finite loads, and a request that meets it ends with numerical", async () => {
  const name = "model.layers.0.mlp.down_proj.weight";
  const tensors = new Map(decodeSafetensors(DEMO[WEIGHTS]));
  const { shape, data } = tensors.get(name) as Tensor;
  tensors.set(name, { shape, data: data.with(5, Number.POSITIVE_INFINITY) });
  const files = { ...DEMO, [WEIGHTS]: encodeSafetensors(tensors, "BF16") };
  const engine = await loadTestEngine(gpu as GPU, { model: filesSource(files), quantization: "q8_0", maxModelLen: 32 });
  const { end } = await new TestRequest(engine, { input: GREETING.input, maxTokens: 2 }).outcome;
  expect(end).toMatchObject({ code: "numerical" });
  engine.dispose();
});
