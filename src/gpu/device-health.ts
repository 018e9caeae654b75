import { CairnError } from "../util/errors";

/** Remembers what first went wrong with a device, from its making on: errors that nobody caught, and its loss. */
export class DeviceHealth {
  #failure: CairnError | null = null;

  constructor(device: GPUDevice) {
    device.addEventListener("uncapturederror", (event) => {
      const { message } = (event as GPUUncapturedErrorEvent).error;
      this.#failure ??= new CairnError("gpu_error", `The GPU refused a command: ${message}`, { label: message });
    });
    void device.lost.then(({ reason, message }) => {
      this.#failure ??= new CairnError("device_lost", `The GPU device was lost: ${message}`, { reason });
    });
  }

  /** `gpu_error` or `device_lost`; null while all is well. Never becomes null again. */
  get failure(): CairnError | null {
    return this.#failure;
  }

  throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }
}
