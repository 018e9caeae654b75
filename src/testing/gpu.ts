import { create } from "webgpu";
import { type GpuDevice, requestDevice } from "../gpu/device";

/** Dawn crashes when the object from create() is collected while anything made from it lives. */
const instances: GPU[] = [];

/**
 * Dawn over whatever Vulkan, Metal or D3D12 adapter is there. Where there is none: null after one line of warning, an
 * error when CI is set, so that CI never passes without a GPU.
 */
export async function openDawnGpu(): Promise<GPU | null> {
  const gpu = createInstance([]);
  if (await gpu.requestAdapter()) return gpu;
  const message =
    "No GPU adapter for Dawn in Node: kernel tests are SKIPPED (a software one is in mesa-vulkan-drivers).";
  if (process.env.CI) throw new Error(message);
  console.warn(message);
  return null;
}

/** A device with every feature that Cairn can use; null as openDawnGpu. */
export async function openDawn(): Promise<GpuDevice | null> {
  const gpu = await openDawnGpu();
  return gpu && requestDevice(gpu, ALL_FEATURES);
}

/** A device that validates everything and computes nothing: reads give zeros. */
export function openNullDevice(): Promise<GpuDevice> {
  return requestDevice(createInstance(["backend=null"]), ALL_FEATURES);
}

const ALL_FEATURES = { useF16: true, useSubgroups: true, profile: true };

function createInstance(options: string[]): GPU {
  const instance = create(options);
  instances.push(instance);
  return instance;
}
