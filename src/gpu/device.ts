import { CairnError, reasonOf } from "../util/errors";
import { DeviceHealth } from "./device-health";

export interface DeviceRequest {
  readonly powerPreference?: GPUPowerPreference;
  readonly forceFallback?: boolean;
  /** Use shader-f16 where the adapter has it. */
  readonly useF16: boolean;
  /** Use subgroups where the adapter has them. */
  readonly useSubgroups: boolean;
  /** Ask for timestamp-query where the adapter has it. */
  readonly profile: boolean;
}

/** What an adapter has of that which Cairn uses. */
export interface GpuCapabilities {
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly timestamps: boolean;
  /** The most bytes that one storage binding may span. */
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
}

export interface GpuAdapter extends GpuCapabilities {
  /** May be called once. Rejects with `gpu_error` where the adapter refuses its own limits. */
  requestDevice(): Promise<GpuDevice>;
}

export interface GpuDevice extends GpuCapabilities {
  readonly device: GPUDevice;
  readonly health: DeviceHealth;
  readonly adapter: { readonly vendor: string; readonly architecture: string; readonly description: string };
}

/** An adapter and a device of it. Rejects with `no_adapter`, `gpu_error`. */
export async function requestDevice(gpu: GPU, request: DeviceRequest): Promise<GpuDevice> {
  return (await requestAdapter(gpu, request)).requestDevice();
}

/** Tells what there is, and makes nothing. Rejects with `no_adapter`. */
export async function requestAdapter(gpu: GPU, request: DeviceRequest): Promise<GpuAdapter> {
  const adapter = await gpu.requestAdapter({
    powerPreference: request.powerPreference,
    forceFallbackAdapter: request.forceFallback ?? false,
  });
  if (!adapter) {
    throw new CairnError("no_adapter", "WebGPU is present, but it offers no adapter (GPU) for this request.", {
      powerPreference: request.powerPreference ?? null,
      forceFallback: request.forceFallback ?? false,
    });
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const capabilities: GpuCapabilities = {
    f16: request.useF16 && adapter.features.has("shader-f16"),
    subgroups: request.useSubgroups && adapter.features.has("subgroups"),
    timestamps: request.profile && adapter.features.has("timestamp-query"),
    maxBindingBytes: Math.min(maxStorageBufferBindingSize, maxBufferSize),
    maxBufferBytes: maxBufferSize,
  };
  return { ...capabilities, requestDevice: () => makeDevice(adapter, capabilities) };
}

/**
 * A device with the features and limits that Cairn uses, each by name: the largest buffers and bindings that the adapter
 * has, the defaults for all else.
 */
async function makeDevice(adapter: GPUAdapter, capabilities: GpuCapabilities): Promise<GpuDevice> {
  const { f16, subgroups, timestamps } = capabilities;
  const requiredFeatures: GPUFeatureName[] = [];
  if (f16) requiredFeatures.push("shader-f16");
  if (subgroups) requiredFeatures.push("subgroups");
  if (timestamps) requiredFeatures.push("timestamp-query");
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  try {
    const device = await adapter.requestDevice({
      label: "cairn",
      requiredFeatures,
      requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
    });
    const { vendor, architecture, description } = adapter.info;
    return {
      ...capabilities,
      device,
      health: new DeviceHealth(device),
      adapter: { vendor, architecture, description },
    };
  } catch (error) {
    const message = reasonOf(error);
    throw new CairnError(
      "gpu_error",
      `The adapter refused a device: ${message}`,
      { label: "device" },
      { cause: error },
    );
  }
}
