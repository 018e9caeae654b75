import type { Bindings, ComputePipeline, Kernel, KernelVariant } from "../gpu/kernel";
import { PipelineCache } from "../gpu/pipeline-cache";
import { composeWgsl, type WgslModule } from "../gpu/wgsl";

/** Puts a fault into every shader that holds `find`, for a device made to go wrong. */
export interface ShaderFault {
  readonly find: string;
  readonly replace: string;
  /** Only shaders that hold this too. */
  readonly within?: string;
}

/** Pipelines with the fault; those that it does not touch are the ones of `pipelines`, so that tests need not compile them again. */
export class FaultyPipelines extends PipelineCache {
  readonly #pipelines: PipelineCache;
  readonly #fault: ShaderFault;
  numFaulty = 0;

  constructor(device: GPUDevice, pipelines: PipelineCache, fault: ShaderFault) {
    super(device);
    this.#pipelines = pipelines;
    this.#fault = fault;
  }

  override get<B extends Bindings, O extends string>(
    kernel: Kernel<B, O>,
    variant: KernelVariant<O>,
  ): Promise<ComputePipeline<B>> {
    const { find, replace, within = "" } = this.#fault;
    const { code } = composeWgsl(variant.prelude, [...variant.modules, kernel.source]);
    if (!code.includes(within) || !code.includes(find)) return this.#pipelines.get(kernel, variant);
    this.numFaulty++;
    const spoil = (module: WgslModule) => ({ ...module, source: module.source.replace(find, replace) });
    return super.get({ ...kernel, source: spoil(kernel.source) }, { ...variant, modules: variant.modules.map(spoil) });
  }
}

/** A GPU whose every device has the fault. */
export function faultyGpu(gpu: GPU, { find, replace, within = "" }: ShaderFault): GPU {
  const requestAdapter: GPU["requestAdapter"] = async (options) => {
    const adapter = await gpu.requestAdapter(options);
    if (!adapter) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await requestDevice(descriptor);
      const createShaderModule = device.createShaderModule.bind(device);
      device.createShaderModule = (descriptor) => {
        const { code } = descriptor;
        return createShaderModule({ ...descriptor, code: code.includes(within) ? code.replace(find, replace) : code });
      };
      return device;
    };
    return adapter;
  };
  return { requestAdapter } as GPU;
}

const F16_TILES = "alias elem = f16;";

/** Faults of the kind that drivers have. */
export const SHADER_FAULTS = {
  embeddingHalf: { within: "last_ids", find: "params.scale * values[1];", replace: "params.scale * values[0];" },
  normWeight: {
    find: "out[o + 1u] = scale * x[i + 1u] * weight[1];",
    replace: "out[o + 1u] = scale * x[i + 1u] * weight[0];",
  },
  queryHalf: {
    find: "q_out[out + HALF + 1u] = params.q_scale * second.y;",
    replace: "q_out[out + HALF + 1u] = params.q_scale * second.x;",
  },
  subgroupSum: {
    find: "let sum = subgroupAdd(value);",
    replace: "let sum = subgroupAdd(select(value, 0.0, lid % lanes == 3u));",
  },
  f16Tile: {
    within: F16_TILES,
    find: "tile_w[(2u * u + 1u) * TILE_ROWS + n] = vec4<elem>(values[1]);",
    replace: "tile_w[(2u * u + 1u) * TILE_ROWS + n] = vec4<elem>(values[1]).yxzw;",
  },
  f16AttentionTile: {
    within: F16_TILES,
    find: "tile[2u * i + 1u] = vec4<elem>(values[1]);",
    replace: "tile[2u * i + 1u] = vec4<elem>(values[0]);",
  },
  causalMask: {
    find: "first + key >= row_low && first + key <= position",
    replace: "first + key >= row_low && first + key <= position + 1u",
  },
  window: {
    find: "let high = min(position + 1u, (split + 1u) * SPLIT);",
    replace: "let high = min(position + 0u, (split + 1u) * SPLIT);",
  },
  splitTotal: {
    find: "total += partial_stats[stats + s].y * exp(partial_stats[stats + s].x - highest);",
    replace: "total += partial_stats[stats + s].y;",
  },
  q8Bytes: { within: "tile_w", find: "vec4(24u, 16u, 8u, 0u)", replace: "vec4(24u, 16u, 0u, 8u)" },
  q4Nibbles: { within: "PROLOGUE", find: "vec4(0u, 8u, 16u, 24u)", replace: "vec4(0u, 8u, 24u, 16u)" },
  sampleTie: { find: "atomicMin(&greatest_id, best_id);", replace: "atomicMax(&greatest_id, best_id);" },
} satisfies Readonly<Record<string, ShaderFault>>;
