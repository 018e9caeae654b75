import { describe, expect, it } from "vitest";
import type { GpuDevice } from "../../gpu/device";
import { PipelineCache } from "../../gpu/pipeline-cache";
import { allWeightModules } from "../../kernels/all-weight-modules";
import type { DeviceVariant } from "../../kernels/variants";
import { makeKvGeometry } from "../../kv/geometry";
import { parseModelConfig } from "../../models/parse-config";
import { weightPlan } from "../../models/registry";
import { makeWeightLayout, type WeightLayout } from "../../models/weight-layout";
import { allLinears, allNorms, type LinearPlan } from "../../models/weight-plan";
import { openDawn } from "../../testing/gpu";
import { testVariants } from "../../testing/kernel-context";
import { FaultyPipelines, SHADER_FAULTS, type ShaderFault } from "../../testing/shader-fault";
import { makeTinyGemma } from "../../testing/tiny-gemma";
import { findWrongKernel, type WrongKernel } from "./self-test";

const gpu = (await openDawn()) as GpuDevice;
/** Compiled once for all tests. */
const good = gpu && new PipelineCache(gpu.device);
const ALL: DeviceVariant = { f16: true, subgroups: true };

const GEMMA = makeTinyGemma({ seed: 1, residualScale: 1 }).config;
const LLAMA = parseModelConfig(
  {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: 48,
    intermediate_size: 100,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    num_hidden_layers: 2,
    vocab_size: 100,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
  },
  null,
);

interface Subject {
  readonly variant?: DeviceVariant;
  readonly config?: typeof GEMMA;
  readonly quantization?: "q8_0" | "q4_0";
  readonly dtype?: "F32" | "F16" | "BF16";
  readonly kvDtype?: "f16" | "f32";
  readonly fusedNorm?: boolean;
  readonly gemvUpToTokens?: number;
}

function matrixOf({ linears }: WeightLayout, plan: LinearPlan) {
  const type = linears.get(plan)?.type ?? "f32";
  return { type, weightModules: allWeightModules[type] };
}

async function test(subject: Subject, pipelines = good): Promise<WrongKernel | null> {
  const { variant = ALL, config = GEMMA, dtype = "BF16", kvDtype = "f16", fusedNorm = true } = subject;
  // GEMVs over several tokens take a software adapter long to compile.
  const { gemvUpToTokens = 1, quantization = null } = subject;
  const plan = weightPlan(config);
  const entry = (name: string, shape: number[]) => [name, { name, dtype, shape }] as const;
  const tensors = new Map([
    ...allNorms(plan).map(({ tensor, width }) => entry(tensor, [width])),
    ...allLinears(plan).flatMap(({ parts, width }) => parts.map((part) => entry(part.tensor, [part.numRows, width]))),
  ]);
  const layout = makeWeightLayout(plan, tensors as never, quantization);
  return findWrongKernel({
    gpu,
    pipelines,
    variant,
    config,
    plan,
    matrices: { linear: (linear) => matrixOf(layout, linear) },
    geometry: makeKvGeometry(config, kvDtype),
    gemvUpToTokens,
    fusedNorm,
  });
}

/** What a shader with the fault makes wrong; it must be in use. */
async function testFault(fault: ShaderFault, subject: Subject): Promise<string | undefined> {
  const faulty = new FaultyPipelines(gpu.device, good, fault);
  const wrong = await test(subject, faulty);
  expect(faulty.numFaulty).toBeGreaterThan(0);
  return wrong?.kernel;
}

/** What takes a software adapter long to compile, and tells little more, is for the soak. */
const SOAK = Boolean(process.env.CAIRN_SOAK);
const QUANTIZED: Subject = { config: LLAMA, quantization: "q8_0" };

describe.skipIf(!gpu)("the self-test", () => {
  it.each(["q8_0", "q4_0"] as const)("finds nothing wrong in Llama in %s", async (quantization) => {
    expect(await test({ ...QUANTIZED, quantization })).toBeNull();
  });

  it.skipIf(!SOAK).each(gpu ? testVariants(gpu) : [])("finds nothing wrong in Gemma in %o", async (variant) => {
    expect(await test({ variant })).toBeNull();
  });

  const llamas: readonly Subject[] = [
    { dtype: "F16", gemvUpToTokens: 8 },
    { dtype: "F32", kvDtype: "f32", variant: { f16: false, subgroups: true } },
    { dtype: "BF16", fusedNorm: false },
  ];
  it.skipIf(!SOAK).each(llamas)("finds nothing wrong in Llama in $dtype", async (subject) => {
    expect(await test({ ...subject, config: LLAMA })).toBeNull();
  });

  it.each([
    ["embeddingHalf", "embed"],
    ["normWeight", "rms_norm"],
    ["subgroupSum", "gemv"],
    ["f16Tile", "gemm"],
    ["q8Bytes", "gemm"],
    ["queryHalf", "rope_kv_write"],
    ["f16AttentionTile", "attention_prefill"],
    ["splitTotal", "attention_decode"],
    ["sampleTie", "sample"],
  ] as const)("finds the fault %s in %s", async (fault, kernel) => {
    expect(await testFault(SHADER_FAULTS[fault], QUANTIZED)).toBe(kernel);
  });

  it("finds the fault q4Nibbles in gemv", async () => {
    expect(await testFault(SHADER_FAULTS.q4Nibbles, { ...QUANTIZED, quantization: "q4_0" })).toBe("gemv");
  });

  it.skipIf(!SOAK).each([
    ["causalMask", "attention_prefill"],
    ["window", "attention_decode"],
  ] as const)("finds the fault %s of Gemma in %s", async (fault, kernel) => {
    expect(await testFault(SHADER_FAULTS[fault], {})).toBe(kernel);
  });
});
