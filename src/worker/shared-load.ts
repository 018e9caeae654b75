import type { LoadProgress, PartName, PartSource } from "../protocol/messages";
import { assert, CairnError } from "../util/errors";
import { raceSignal } from "../util/race-signal";
import { ClientEngine } from "./client-engine";
import type { LoadContext, ServedEngine } from "./engine-service";

type ClientContext = Omit<LoadContext<unknown>, "gpu">;

export interface SharedLoadOptions {
  load(context: ClientContext): Promise<ServedEngine>;
  /** Nobody is to join any more. It may be called more than once. */
  readonly onEnd: () => void;
}

/** A client that waits for the engine, or has it. */
interface Member {
  readonly onProgress: (progress: LoadProgress) => void;
  readonly partSource: PartSource | null;
  readonly left: AbortController;
}

/** One load of an engine that several clients want, and the engine that came of it, up to its end. */
export class SharedLoad {
  /** Resolves when the load has ended, however it did. */
  readonly settled: Promise<unknown>;
  readonly #members = new Set<Member>();
  readonly #ended = new AbortController();
  readonly #loading: Promise<ServedEngine>;
  readonly #onEnd: () => void;
  #engine: ServedEngine | null = null;
  #progress: LoadProgress | null = null;

  constructor({ load, onEnd }: SharedLoadOptions) {
    this.#onEnd = onEnd;
    this.#loading = load({
      onProgress: (progress) => this.#tell(progress),
      signal: this.#ended.signal,
      partSource: (name) => this.#part(name),
    });
    this.settled = this.#loading.then(
      (engine) => this.#loaded(engine),
      () => {},
    );
  }

  /** The engine takes no more requests, whoever asks. */
  get hasFailed(): boolean {
    return !!this.#engine?.failure;
  }

  /** Rejects as the load does, and with the signal's reason where that comes first. */
  async join(idPrefix: string, { onProgress, partSource, signal }: ClientContext): Promise<ServedEngine> {
    const member = { onProgress, partSource, left: new AbortController() };
    this.#members.add(member);
    if (this.#progress) onProgress(this.#progress);
    try {
      const engine = await raceSignal(this.#loading, signal);
      return new ClientEngine(engine, idPrefix, () => this.#leave(member));
    } catch (error) {
      this.#leave(member);
      throw error;
    }
  }

  /** Frees the device, also where the load is still under way. What members ask of the engine fails from now on. */
  end(): void {
    this.#ended.abort(new CairnError("disposed", "The engine was disposed."));
    this.#engine?.dispose();
    this.#onEnd();
  }

  #loaded(engine: ServedEngine): void {
    this.#engine = engine;
    if (this.#ended.signal.aborted) engine.dispose();
  }

  #tell(progress: LoadProgress): void {
    this.#progress = progress;
    for (const { onProgress } of this.#members) onProgress(progress);
  }

  #leave(member: Member): void {
    if (!this.#members.delete(member)) return;
    member.left.abort();
    if (this.#members.size === 0) this.end();
  }

  /** From the first member that answers: a page that is gone never does. */
  async #part(name: PartName): Promise<string> {
    for (const { partSource, left } of this.#members) {
      assert(partSource, "no parts");
      try {
        return await raceSignal(partSource(name), left.signal);
      } catch (error) {
        if (!left.signal.aborted) throw error;
      }
    }
    throw new CairnError("disposed", "Nobody is left who has the parts of the engine.");
  }
}
