import { hashName } from "../../util/sha256";
import type { RemoteModel } from "../remote/remote";
import { type FileRecord, type Manifest, readManifest, writeManifest } from "./manifest";
import { inStore, type ModelStore, type StoreRoot } from "./model-store";

/** The kept files of one model, with what is known of them. Whoever changes it holds the model's download lock. */
export class ModelFolder {
  readonly store: ModelStore;
  readonly #root: StoreRoot;
  readonly #name: string;
  #manifest: Manifest;
  /** Manifests are written one after the other. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(root: StoreRoot, name: string, store: ModelStore, manifest: Manifest) {
    this.#root = root;
    this.#name = name;
    this.store = store;
    this.#manifest = manifest;
  }

  static async open(root: StoreRoot, { key, model, revision, list }: RemoteModel): Promise<ModelFolder> {
    return inStore(async () => {
      // A key may be a URL of any length; a folder's name may not.
      const name = hashName(key);
      const store = await root.open(name);
      const empty = { key, model, revision, refs: {}, list, files: {}, isComplete: false, lastUsedMs: Date.now() };
      return new ModelFolder(root, name, store, (await readManifest(store)) ?? empty);
    });
  }

  record(file: string): FileRecord | null {
    const { files } = this.#manifest;
    return Object.hasOwn(files, file) ? files[file] : null;
  }

  /** No file of the model is there as a whole. */
  get isEmpty(): boolean {
    return !Object.values(this.#manifest.files).some(({ state }) => state === "complete");
  }

  /** The file is there as a whole. */
  async has(file: string): Promise<boolean> {
    const record = this.record(file);
    return record?.state === "complete" && (await inStore(() => this.store.size(file))) === record.size;
  }

  /** Takes over what another tab wrote. */
  async reload(): Promise<void> {
    this.#manifest = (await inStore(() => readManifest(this.store))) ?? this.#manifest;
  }

  setRecord(file: string, record: FileRecord): Promise<void> {
    return this.#change({ files: { ...this.#manifest.files, [file]: record } });
  }

  /** The model is being used now, found by this revision; `isComplete` where nothing of it is missing. */
  async touch(ref: string | null, isComplete: boolean): Promise<void> {
    const lastUsedMs = Date.now();
    const refs = ref === null ? {} : { ...this.#manifest.refs, [ref]: lastUsedMs };
    const changes = { refs, lastUsedMs, isComplete: isComplete || this.#manifest.isComplete };
    // A disk that became full is no reason to give up files that are there.
    await this.#change(changes).catch(() => undefined);
  }

  async destroy(): Promise<void> {
    await this.#root.remove(this.#name);
  }

  #change(changes: Partial<Manifest>): Promise<void> {
    this.#manifest = { ...this.#manifest, ...changes };
    const write = () => writeManifest(this.store, this.#manifest);
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }
}
