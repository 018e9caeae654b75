import { create } from "webgpu";
import { type GpuDevice, requestDevice } from "../gpu/device";

/** Dawn crashes when the object from create() is collected while anything made from it lives. */
const instances: GPU[] = [];

/**
 * A device on Dawn with every feature that Cairn can use, over whatever Vulkan, Metal or D3D12 adapter is there. Where
 * there is none: null after one line of warning, an error when CI is set, so that CI never passes without a GPU.
 */
export async function openDawn(): Promise<GpuDevice | null> {
  const gpu = await openInstance([]);
  if (gpu) return gpu;
  const message =
    "No GPU adapter for Dawn in Node: kernel tests are SKIPPED (a software one is in mesa-vulkan-drivers).";
  if (process.env.CI) throw new Error(message);
  console.warn(message);
  return null;
}

/** A device that validates everything and computes nothing: reads give zeros. */
export async function openNullDevice(): Promise<GpuDevice> {
  const gpu = await openInstance(["backend=null"]);
  if (!gpu) throw new Error("Dawn's null backend gave no adapter");
  return gpu;
}

async function openInstance(options: string[]): Promise<GpuDevice | null> {
  const instance = create(options);
  instances.push(instance);
  if (!(await instance.requestAdapter())) return null;
  return requestDevice(instance, { useF16: true, useSubgroups: true, profile: true });
}
