import { CairnError } from "../util/errors";
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

export interface GpuDevice {
  readonly device: GPUDevice;
  readonly health: DeviceHealth;
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly timestamps: boolean;
  /** The most bytes that one storage binding may span. */
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  readonly adapter: { readonly vendor: string; readonly architecture: string; readonly description: string };
}

/**
 * Asks for an adapter and a device with the features and limits that Cairn uses, each by name: the largest buffers and
 * bindings that the adapter has, the defaults for all else.
 * Errors: `no_adapter`; `gpu_error` where the adapter refuses its own limits.
 */
export async function requestDevice(gpu: GPU, request: DeviceRequest): Promise<GpuDevice> {
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
  const f16 = request.useF16 && adapter.features.has("shader-f16");
  const subgroups = request.useSubgroups && adapter.features.has("subgroups");
  const timestamps = request.profile && adapter.features.has("timestamp-query");
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
      device,
      health: new DeviceHealth(device),
      f16,
      subgroups,
      timestamps,
      maxBindingBytes: Math.min(maxStorageBufferBindingSize, maxBufferSize),
      maxBufferBytes: maxBufferSize,
      adapter: { vendor, architecture, description },
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CairnError(
      "gpu_error",
      `The adapter refused a device: ${message}`,
      { label: "device" },
      { cause: error },
    );
  }
}
