import type { CachedModel, MemoryPlan } from "../index";
import { DEFAULT_HUB_ENDPOINT } from "../util/hub";
import { asCairnError } from "./as-cairn-error";
import type { CuratedModel } from "./curated-models";
import { cachedCopy, type LibraryState, type Reading, recommendedQuantization } from "./library-state";
import { Observable } from "./observable";
import type { HubAccess, Quantization, RemoteModel } from "./remote-model";

export interface PlanOptions {
  readonly isKept: boolean;
  readonly signal: AbortSignal;
}

/** Where models are found, planned and kept; tests script it. */
export interface ModelLibrary {
  curated(): Promise<readonly CuratedModel[]>;
  /** `isKept`: something of it is in this browser already. A plan of another one leaves nothing there. */
  plan(model: RemoteModel, options: PlanOptions): Promise<MemoryPlan>;
  list(): Promise<readonly CachedModel[]>;
  delete(key: string): Promise<void>;
}

/** The model picker without its looks: the lists, and the plan of one model at a time. Nothing here throws: failures are states. */
export class LibraryController extends Observable<LibraryState> {
  readonly #library: ModelLibrary;
  #planning: AbortController | null = null;

  constructor(library: ModelLibrary) {
    super({
      curated: { status: "reading" },
      cached: { status: "reading" },
      deletion: null,
      hub: { endpoint: DEFAULT_HUB_ENDPOINT, token: null },
      chosen: null,
    });
    this.#library = library;
  }

  /** Reads what is cached anew, and the curated list unless it is there. Lists that are shown stay until then. */
  async refresh(): Promise<void> {
    const curated = this.state.curated.status === "read" ? null : this.#library.curated();
    await Promise.all([
      readingOf(this.#library.list()).then((cached) => this.set({ cached })),
      curated && readingOf(curated).then((reading) => this.set({ curated: reading })),
    ]);
  }

  /** Shows a model of the hub at `endpoint`, the present one unless given, and plans it with the quantization that is proposed for it. */
  async choose(model: string, revision: string | null, endpoint = this.state.hub.endpoint): Promise<void> {
    this.setHub({ ...this.state.hub, endpoint });
    const quantization = recommendedQuantization(this.state, model);
    await this.#plan({ model, revision, hub: this.state.hub, quantization });
  }

  /** Plans the chosen model again, packed in another way. */
  async setQuantization(quantization: Quantization): Promise<void> {
    if (this.state.chosen) await this.#plan({ ...this.state.chosen.model, quantization });
  }

  /** Holds for models that are chosen from now on, and for `planAgain`. A token is for one hub: another one does not get it. */
  setHub({ endpoint, token }: HubAccess): void {
    const { hub } = this.state;
    const isOfOther = endpoint !== hub.endpoint && token === hub.token;
    this.set({ hub: { endpoint, token: isOfOther ? null : token } });
  }

  async planAgain(): Promise<void> {
    if (this.state.chosen) await this.#plan({ ...this.state.chosen.model, hub: this.state.hub });
  }

  /** Back to the lists; a plan under way is given up. */
  leave(): void {
    this.#planning?.abort();
    this.#planning = null;
    this.set({ chosen: null, deletion: this.state.deletion?.status === "deleting" ? this.state.deletion : null });
  }

  /** Deleting takes two steps: this one, and `confirmDelete`. */
  askToDelete(key: string): void {
    if (this.state.deletion?.status !== "deleting") this.set({ deletion: { key, status: "asking" } });
  }

  keep(): void {
    if (this.state.deletion?.status !== "deleting") this.set({ deletion: null });
  }

  async confirmDelete(): Promise<void> {
    if (this.state.deletion?.status !== "asking") return;
    const { key } = this.state.deletion;
    this.set({ deletion: { key, status: "deleting" } });
    try {
      await this.#library.delete(key);
      this.set({ deletion: null });
    } catch (thrown) {
      this.set({ deletion: { key, status: "failed", error: asCairnError(thrown) } });
    }
    await this.refresh();
  }

  async #plan(model: RemoteModel): Promise<void> {
    this.#planning?.abort();
    const planning = new AbortController();
    this.#planning = planning;
    this.set({ chosen: { model, plan: { status: "reading" } } });
    const plan = await readingOf(
      this.#library.plan(model, { isKept: cachedCopy(this.state, model) !== null, signal: planning.signal }),
    );
    if (this.#planning === planning) this.set({ chosen: { model, plan } });
  }
}

function readingOf<Value>(promise: Promise<Value>): Promise<Reading<Value>> {
  return promise.then(
    (value): Reading<Value> => ({ status: "read", value }),
    (thrown): Reading<Value> => ({ status: "failed", error: asCairnError(thrown) }),
  );
}
