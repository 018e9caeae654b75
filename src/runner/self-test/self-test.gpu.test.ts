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
import { injectFault, SHADER_FAULTS, type ShaderFault } from "../../testing/shader-fault";
import { makeTinyGemma } from "../../testing/tiny-gemma";
import { findWrongKernel, type WrongKernel } from "./self-test";

const gpu = (await openDawn()) as GpuDevice;
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
  readonly fault?: ShaderFault;
  readonly fusedNorm?: boolean;
  readonly gemvUpToTokens?: number;
}

function matrixOf({ linears }: WeightLayout, plan: LinearPlan) {
  const type = linears.get(plan)?.type ?? "f32";
  return { type, weightModules: allWeightModules[type] };
}

async function test(subject: Subject): Promise<WrongKernel | null> {
  const { variant = ALL, config = GEMMA, dtype = "BF16", kvDtype = "f16", fault, fusedNorm = true } = subject;
  // GEMVs over several tokens take a software adapter long to compile.
  const { gemvUpToTokens = 1, quantization = null } = subject;
  const plan = weightPlan(config);
  const entry = (name: string, shape: number[]) => [name, { name, dtype, shape }] as const;
  const tensors = new Map([
    ...allNorms(plan).map(({ tensor, width }) => entry(tensor, [width])),
    ...allLinears(plan).flatMap(({ parts, width }) => parts.map((part) => entry(part.tensor, [part.numRows, width]))),
  ]);
  const layout = makeWeightLayout(plan, tensors as never, quantization);
  const restore = fault ? injectFault(gpu.device, fault) : () => {};
  try {
    return await findWrongKernel({
      gpu,
      pipelines: new PipelineCache(gpu.device),
      variant,
      config,
      plan,
      matrices: { linear: (linear) => matrixOf(layout, linear) },
      geometry: makeKvGeometry(config, kvDtype),
      gemvUpToTokens,
      fusedNorm,
    });
  } finally {
    restore();
  }
}

describe.skipIf(!gpu)("the self-test", () => {
  it.each(gpu ? testVariants(gpu) : [])("finds nothing wrong in %o", async (variant) => {
    expect(await test({ variant })).toBeNull();
  });

  it.each([
    { config: LLAMA, dtype: "F16", gemvUpToTokens: 8 },
    { config: LLAMA, dtype: "F32", kvDtype: "f32", variant: { f16: false, subgroups: true } },
    { config: LLAMA, dtype: "BF16", fusedNorm: false },
  ] as const)("finds nothing wrong in Llama in $dtype", async (subject) => {
    expect(await test(subject)).toBeNull();
  });

  it.each([
    ["subgroupSum", "gemv"],
    ["f16Tile", "gemm"],
    ["f16AttentionTile", "attention_prefill"],
    ["causalMask", "attention_prefill"],
    ["window", "attention_decode"],
    ["sampleTie", "sample"],
  ])("finds the fault %s in %s", async (fault, kernel) => {
    const wrong = await test({ fault: SHADER_FAULTS[fault] });
    expect(wrong?.kernel).toBe(kernel);
  });
});
