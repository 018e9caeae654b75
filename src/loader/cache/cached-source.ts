import { CairnError } from "../../util/errors";
import { type FileSource, type OpenedFile, type OpenOptions, PLAIN_FILE_NAME } from "../file-source";
import { throwIfAborted, toReadError } from "../read-errors";
import type { Remote, RemoteFile, RemoteModel } from "../remote/remote";
import type { CacheEnvironment } from "./cache-environment";
import type { FetchAllOptions } from "./downloader";
import { isCurrent } from "./is-current";
import { readManifests } from "./manifest";
import { ModelFolder } from "./model-folder";
import { downloadLock, holding, share, useLock } from "./model-locks";
import { inStore, StoreError, type StoreRoot } from "./model-store";

/**
 * A model on the network of which files are kept in this browser. Whatever goes wrong with keeping them, the files are read from
 * the network, and `warnings` tells why.
 */
export class CachedSource implements FileSource {
  readonly modelId: string;
  /** In sentences for a person. */
  readonly warnings: string[] = [];
  readonly #remote: Remote;
  readonly #environment: CacheEnvironment;
  readonly #isKept: boolean;
  #opening: Promise<RemoteModel> | null = null;
  #model: RemoteModel | null = null;
  /** Null where nothing is kept, or no more. */
  #folder: ModelFolder | null = null;
  #release: () => void = () => {};
  #isClosed = false;
  /** Files of which this visit knows that the copy is that of the network, or that the network is away. */
  readonly #validated = new Map<string, Promise<boolean>>();

  constructor(remote: Remote, isKept: boolean, environment: CacheEnvironment) {
    this.modelId = remote.modelId;
    this.#remote = remote;
    this.#isKept = isKept;
    this.#environment = environment;
  }

  /** Throws `model_file_missing`, `network`, `gated_model`, `integrity` or `aborted`. */
  async open(file: string, { range, keep, signal }: OpenOptions): Promise<OpenedFile> {
    throwIfAborted(signal);
    if (!PLAIN_FILE_NAME.test(file)) {
      throw new CairnError("model_file_missing", `"${file}" is not a plain file name.`, { file });
    }
    try {
      const model = await this.#open(signal);
      if (keep) await this.#keep([file], { signal });
      const kept = await this.#orGiveUp(() => this.#openKept(file, range, signal));
      if (kept) return kept;
      const remote = model.locate(file);
      const { retry, loadDownloader } = this.#environment;
      const { openRemote, openVerified } = await loadDownloader();
      return await (range ? openRemote(remote, { ...range, retry, signal }) : openVerified(remote, { retry, signal }));
    } catch (thrown) {
      throw await this.#rememberMissing(file, toReadError(thrown, file, signal));
    }
  }

  /** Makes these files local, so far as the browser keeps them. Throws as `open` does; what arrived until then is kept. */
  async fetchAll(files: readonly string[], options: FetchAllOptions = {}): Promise<void> {
    await this.#open(options.signal);
    await this.#keep(files, options, true);
  }

  /** The commit, for a hub's model once it was found. */
  get revision(): string | null {
    return this.#model?.revision ?? null;
  }

  /** SHA-256 of a whole file in hexadecimal digits; null where it is not known (yet). */
  knownHash(file: string): string | null {
    const list = this.#model?.list;
    const listed = list && Object.hasOwn(list, file) ? list[file].sha256 : null;
    return listed ?? this.#folder?.record(file)?.sha256 ?? null;
  }

  /** Nothing more will be read: other tabs may delete the files. */
  close(): void {
    this.#isClosed = true;
    this.#release();
  }

  #open(signal: AbortSignal | undefined): Promise<RemoteModel> {
    this.#opening ??= this.#find(signal);
    return this.#opening;
  }

  async #find(signal: AbortSignal | undefined): Promise<RemoteModel> {
    const root = this.#isKept ? await this.#openRoot() : null;
    const kept = root ? await readManifests(root).catch(() => []) : [];
    const remembered = kept.map(({ manifest }) => manifest);
    const model = await this.#remote.find(remembered, this.#environment, signal);
    this.#model = model;
    if (root) await this.#orGiveUp(() => this.#openFolder(root, model, signal));
    return model;
  }

  async #openRoot(): Promise<StoreRoot | null> {
    const root = await this.#environment.openRoot();
    if (!root) this.warnings.push("This browser keeps no files here, so that the model is downloaded at every visit.");
    return root;
  }

  async #openFolder(root: StoreRoot, model: RemoteModel, signal: AbortSignal | undefined): Promise<void> {
    try {
      this.#release = await share(this.#environment.locks, useLock(model.key), signal);
    } catch (thrown) {
      throw toReadError(thrown, model.key, signal);
    }
    if (this.#isClosed) this.#release();
    this.#folder = await ModelFolder.open(root, model);
  }

  /** What a URL does not have is remembered: where it cannot be asked, the file is taken to be missing still. */
  async #rememberMissing(file: string, error: CairnError): Promise<CairnError> {
    const folder = this.#folder;
    const model = this.#model;
    if (!folder || !model || model.list || folder.isEmpty) return error;
    const isKnown = folder.record(file)?.state === "missing";
    if (error.code === "network" && isKnown) {
      return new CairnError("model_file_missing", `"${file}" was not there at the last visit.`, { file });
    }
    if (error.code !== "model_file_missing" || isKnown) return error;
    const record = { state: "missing", size: null, sha256: null, validator: null } as const;
    await this.#orGiveUp(() => this.#locked(model.key, undefined, () => folder.setRecord(file, record)));
    return error;
  }

  async #openKept(
    file: string,
    range: OpenOptions["range"],
    signal: AbortSignal | undefined,
  ): Promise<OpenedFile | null> {
    const folder = this.#folder;
    if (!folder || !(await this.#isLocal(folder, file, signal))) return null;
    const totalBytes = folder.record(file)?.size ?? null;
    const body = await inStore(() => folder.store.read(file, range));
    return { totalBytes, bodyOffset: range?.start ?? 0, body };
  }

  /** The copy is whole, and the network has no other one. Where the network is away, the copy counts. */
  async #isLocal(folder: ModelFolder, file: string, signal: AbortSignal | undefined): Promise<boolean> {
    if (!(await folder.has(file))) return false;
    const model = this.#model;
    if (!model || model.list) return true;
    const remote = model.locate(file);
    const validated = this.#validated.get(file) ?? isCurrent(remote, folder.record(file)?.validator ?? null, signal);
    this.#validated.set(file, validated);
    return validated;
  }

  async #keep(files: readonly string[], options: FetchAllOptions, isAll = false): Promise<void> {
    const { signal } = options;
    const folder = this.#folder;
    const model = this.#model;
    if (!folder || !model) return;
    const isHere = async () => {
      for (const file of files) if (!(await this.#isLocal(folder, file, signal))) return false;
      return true;
    };
    await this.#orGiveUp(async () => {
      if (!isAll && (await isHere())) return;
      await this.#locked(model.key, signal, async () => {
        await folder.reload();
        await this.#download(folder, model, files, options);
        await folder.touch(model.ref, isAll);
      });
    });
  }

  async #download(
    folder: ModelFolder,
    model: RemoteModel,
    files: readonly string[],
    options: FetchAllOptions,
  ): Promise<void> {
    const wanted: RemoteFile[] = [];
    for (const file of files) {
      if (!(await this.#isLocal(folder, file, options.signal))) wanted.push(model.locate(file));
    }
    if (wanted.length === 0) return;
    const { downloadAll } = await this.#environment.loadDownloader();
    await downloadAll(wanted, folder, this.#environment, options, (file) => {
      this.#validated.set(file, Promise.resolve(true));
    });
  }

  #locked<T>(key: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return holding(this.#environment.locks, downloadLock(key), signal, work).catch((thrown) => {
      throw thrown instanceof StoreError ? thrown : toReadError(thrown, key, signal);
    });
  }

  /** Where the store fails, the network serves the files, and the answer is null; where it is full, what it has of the model is removed. */
  async #orGiveUp<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof StoreError)) throw thrown;
      const reason = thrown.isQuota
        ? "there is not enough room for it"
        : `the browser's storage failed (${thrown.message})`;
      this.warnings.push(`The model is not kept in this browser, as ${reason}: it is downloaded at every visit.`);
      const folder = this.#folder;
      this.#folder = null;
      // A store that failed may fail at this too.
      if (thrown.isQuota) await folder?.destroy().catch(() => undefined);
      return null;
    }
  }
}
