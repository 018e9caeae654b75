/** What a test's GPU does otherwise than the real one. */
export interface WatchedGpuOptions {
  /** Buffers that the device refuses. The error is the device's own: it is asked for far more than it can give. */
  readonly refuses?: (descriptor: GPUBufferDescriptor) => boolean;
  /** What the adapter says of its storage bindings; less than the truth. */
  readonly maxBindingBytes?: number;
}

const IMPOSSIBLE_BYTES = 2 ** 50;

/** A real GPU that keeps account of its devices and their buffers by itself, apart from the engine's own counting. */
export class WatchedGpu {
  /** To be given to the engine. */
  readonly gpu: GPU;
  readonly devices: GPUDevice[] = [];
  readonly #options: WatchedGpuOptions;
  readonly #bufferBytes = new Map<GPUBuffer, number>();
  readonly #labelsMade: string[] = [];
  #numLiveDevices = 0;

  constructor(gpu: GPU, options: WatchedGpuOptions = {}) {
    this.#options = options;
    const requestAdapter: GPU["requestAdapter"] = async (adapterOptions) => {
      const adapter = await gpu.requestAdapter(adapterOptions);
      return adapter && this.#watchAdapter(adapter);
    };
    this.gpu = { requestAdapter } as GPU;
  }

  /** Bytes in buffers that nobody destroyed; those of a destroyed device count too. */
  get bufferBytes(): number {
    return [...this.#bufferBytes.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Devices that were neither destroyed nor lost. */
  get numLiveDevices(): number {
    return this.#numLiveDevices;
  }

  /** The device that was made last. */
  get device(): GPUDevice {
    return this.devices[this.devices.length - 1];
  }

  /** Labels of the buffers that nobody destroyed, in the order of their making. */
  get bufferLabels(): string[] {
    return [...this.#bufferBytes.keys()].map(({ label }) => label);
  }

  /** Buffers that were ever made under labels with this beginning. */
  numBuffersMade(labelStart: string): number {
    return this.#labelsMade.filter((label) => label.startsWith(labelStart)).length;
  }

  /** Bytes of the buffers that nobody destroyed, by label. */
  get bytesByLabel(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const [{ label }, bytes] of this.#bufferBytes) sums.set(label, (sums.get(label) ?? 0) + bytes);
    return sums;
  }

  #watchAdapter(adapter: GPUAdapter): GPUAdapter {
    const { maxBindingBytes } = this.#options;
    if (maxBindingBytes !== undefined) {
      const { maxBufferSize } = adapter.limits;
      Object.defineProperty(adapter, "limits", {
        value: { maxBufferSize, maxStorageBufferBindingSize: maxBindingBytes },
      });
    }
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await requestDevice(descriptor);
      this.#watchDevice(device);
      return device;
    };
    return adapter;
  }

  #watchDevice(device: GPUDevice): void {
    this.devices.push(device);
    this.#numLiveDevices++;
    void device.lost.then(() => this.#numLiveDevices--);
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      const refused = this.#options.refuses?.(descriptor) ?? false;
      const buffer = createBuffer(refused ? { ...descriptor, size: IMPOSSIBLE_BYTES } : descriptor);
      this.#watchBuffer(buffer, refused ? 0 : descriptor.size);
      return buffer;
    };
  }

  #watchBuffer(buffer: GPUBuffer, bytes: number): void {
    this.#bufferBytes.set(buffer, bytes);
    this.#labelsMade.push(buffer.label);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      this.#bufferBytes.delete(buffer);
      return destroy();
    };
  }
}
