/** Puts a fault into every shader that holds `find`, for a device made to go wrong. */
export interface ShaderFault {
  readonly find: string;
  readonly replace: string;
  /** Only shaders that hold this too. */
  readonly within?: string;
}

/** Makes the device compile shaders with the fault, until the function that it returns is called. */
export function injectFault(device: GPUDevice, { find, replace, within = "" }: ShaderFault): () => void {
  const createShaderModule = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) => {
    const { code } = descriptor;
    return createShaderModule({ ...descriptor, code: code.includes(within) ? code.replace(find, replace) : code });
  };
  return () => {
    device.createShaderModule = createShaderModule;
  };
}

/** A GPU whose every device has the fault. */
export function faultyGpu(gpu: GPU, fault: ShaderFault): GPU {
  const requestAdapter: GPU["requestAdapter"] = async (options) => {
    const adapter = await gpu.requestAdapter(options);
    if (!adapter) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await requestDevice(descriptor);
      injectFault(device, fault);
      return device;
    };
    return adapter;
  };
  return { requestAdapter } as GPU;
}

const F16_TILES = "alias elem = f16;";

/** Faults of the kind that drivers have. */
export const SHADER_FAULTS: Readonly<Record<string, ShaderFault>> = {
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
  sampleTie: { find: "atomicMin(&greatest_id, best_id);", replace: "atomicMax(&greatest_id, best_id);" },
};
