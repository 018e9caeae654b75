import type { StorageChange } from "./storage-api";

/** What happened by itself, until whoever listens takes it. */
export class StorageNews {
  #changes: StorageChange[] = [];
  #wake: () => void = () => {};

  add(change: StorageChange): void {
    this.#changes.push(change);
    this.#wake();
  }

  /** Resolves as soon as there is something. */
  async take(): Promise<readonly StorageChange[]> {
    if (this.#changes.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }
}
