import { CairnError } from "../util/errors";

/** How long a device that refused work has to say that it was lost. */
const LOSS_NOTICE_MS = 1000;

/** Remembers what first went wrong with a device, from its making on: errors that nobody caught, and its loss. */
export class DeviceHealth {
  #failure: CairnError | null = null;
  readonly #lost: Promise<void>;

  constructor(device: GPUDevice) {
    device.addEventListener("uncapturederror", (event) => {
      const { message } = (event as GPUUncapturedErrorEvent).error;
      this.#failure ??= new CairnError("gpu_error", `The GPU refused a command: ${message}`, { label: message });
    });
    this.#lost = device.lost.then(({ reason, message }) => {
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

  /**
   * The failure behind work that was refused; null where there is none. A lost device refuses work before it says that it is
   * lost; one that is not lost never says so, and is given a second.
   */
  async failureBehind(): Promise<CairnError | null> {
    if (!this.#failure) await Promise.race([this.#lost, new Promise((end) => setTimeout(end, LOSS_NOTICE_MS))]);
    return this.#failure;
  }
}

export function isDeviceLoss(error: unknown): error is CairnError {
  return error instanceof CairnError && error.code === "device_lost";
}
