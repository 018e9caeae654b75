import type { RecordKey } from "./block-record";

/** As the browser's `navigator.locks`. */
export interface TabLocks {
  request(name: string, options: LockOptions, hold: (lock: Lock | null) => unknown): Promise<unknown>;
}

/** As a BroadcastChannel: who sends does not hear it. */
export interface TabChannel {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

export interface TabsOptions {
  /** Null where there are none: then every tab leads. */
  readonly locks?: TabLocks | null;
  /** Null: nobody hears of others. */
  readonly openChannel?: ((name: string) => TabChannel) | null;
}

export interface TabsEvents {
  /** What another tab told. Whoever is of this origin may have sent it. */
  readonly onHeard: (message: unknown) => void;
  /** The tab that led is gone, and this one leads. */
  readonly onLead: () => void;
}

/**
 * One tab's store among those of other tabs over the same namespace. Each tells the others which records it has changed, and the one
 * that holds a lock leads: a browser takes the lock from a tab that dies, and gives it to the one that has waited for longest.
 */
export class Tabs {
  readonly #locks: TabLocks | null;
  readonly #openChannel: ((name: string) => TabChannel) | null;
  #channel: TabChannel | null = null;
  #isJoined = false;
  #isLeader = false;
  #leave: () => void = () => {};
  readonly #left = new Promise<void>((resolve) => {
    this.#leave = resolve;
  });

  constructor({
    locks = globalThis.navigator?.locks ?? null,
    openChannel = (name) => new BroadcastChannel(name),
  }: TabsOptions) {
    this.#locks = locks;
    this.#openChannel = openChannel;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** Resolves when it is known whether another leads. What others tell from now on is heard. */
  async join(name: string, { onHeard, onLead }: TabsEvents): Promise<void> {
    if (this.#isJoined) return;
    this.#isJoined = true;
    this.#channel = this.#openChannel?.(name) ?? null;
    if (this.#channel) this.#channel.onmessage = ({ data }) => onHeard(data);
    this.#isLeader = await new Promise<boolean>((resolve) => this.#requestLock(name, { ifAvailable: true }, resolve));
    if (this.#isLeader) return;
    this.#requestLock(name, {}, () => {
      this.#isLeader = true;
      onLead();
    });
  }

  /** To all other tabs: these records were written, used or deleted; null: any may have been. */
  tell(keys: readonly RecordKey[] | null): void {
    if (keys?.length !== 0) this.#channel?.postMessage(keys);
  }

  close(): void {
    this.#channel?.close();
    this.#channel = null;
    this.#leave();
  }

  /** The lock is held until this tab leaves or dies. */
  #requestLock(name: string, options: LockOptions, onAnswer: (isHeld: boolean) => void): void {
    if (!this.#locks) {
      onAnswer(true);
      return;
    }
    const hold = (lock: Lock | null) => {
      onAnswer(lock !== null);
      return lock && this.#left;
    };
    // Where it may not be asked for, nobody else holds it.
    this.#locks.request(name, options, hold).catch(() => onAnswer(true));
  }
}
