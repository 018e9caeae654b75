import type { ModelSource } from "../protocol/messages";
import { CairnError, type ErrorCode, reasonOf } from "../util/errors";
import { ByteCursor } from "./byte-cursor";
import type { CacheEnvironment } from "./cache/cache-environment";
import { CachedSource } from "./cache/cached-source";
import type { FetchAllOptions } from "./cache/downloader";
import { DirectorySource } from "./directory-source";
import { FileListSource } from "./file-list-source";
import type { ByteRange, FileSource } from "./file-source";
import { toReadError } from "./read-errors";
import { HubRemote } from "./remote/hub-remote";
import { UrlRemote } from "./remote/url-remote";

export interface ReadOptions {
  readonly signal?: AbortSignal;
}

export interface JsonReadOptions extends ReadOptions {
  /** A missing file reads as null. */
  readonly optional?: boolean;
  /** Code of the error for text that is not JSON; `invalid_config` unless given. */
  readonly invalidCode?: ErrorCode;
}

export interface FileStream {
  /** Size of the file in bytes; null where the server does not tell. */
  readonly size: number | null;
  readonly body: ReadableStream<Uint8Array>;
}

export interface RangeRead {
  /** Fewer bytes than asked when the file ends inside the range. */
  readonly bytes: Uint8Array;
  /** Size of the whole file in bytes; null where the server does not tell. */
  readonly fileBytes: number | null;
}

/**
 * The files of one model, by name. A missing file throws `model_file_missing` { file, status? }, a failed transfer
 * `network` { file, status? }, the caller's signal `aborted`; a hub's files also `gated_model` and `integrity`.
 */
export class ModelFiles {
  readonly #source: FileSource;
  /** The source, where it is on the network. */
  readonly #cached: CachedSource | null;

  constructor(source: FileSource) {
    this.#source = source;
    this.#cached = source instanceof CachedSource ? source : null;
  }

  /** The hub's id, the last path segment of the URL, or the folder's name. */
  get modelId(): string {
    return this.#source.modelId;
  }

  /** The hub's commit that is read, once something was; null elsewhere. */
  get revision(): string | null {
    return this.#cached?.revision ?? null;
  }

  readText(file: string, options?: ReadOptions & { readonly optional?: false }): Promise<string>;
  readText(file: string, options: ReadOptions & { readonly optional?: boolean }): Promise<string | null>;
  async readText(file: string, { signal, optional }: JsonReadOptions = {}): Promise<string | null> {
    try {
      const { body } = await this.#source.open(file, { keep: true, signal });
      return await new Response(body as BodyInit).text();
    } catch (thrown) {
      const error = toReadError(thrown, file, signal);
      if (optional && error.code === "model_file_missing") return null;
      throw error;
    }
  }

  async readJson(file: string, options: JsonReadOptions = {}): Promise<unknown> {
    const text = await this.readText(file, options);
    if (text === null) return null;
    try {
      return JSON.parse(text);
    } catch (thrown) {
      const reason = reasonOf(thrown);
      const code = options.invalidCode ?? "invalid_config";
      throw new CairnError(code, `"${file}" is not JSON: ${reason}`, { file, reason }, { cause: thrown });
    }
  }

  /** Some bytes of a file. Where the server ignores ranges, what comes before is skipped and the rest not transferred. */
  async readRange(file: string, range: ByteRange, signal?: AbortSignal): Promise<RangeRead> {
    const opened = await this.#source.open(file, { range, signal });
    const cursor = new ByteCursor(file, opened, signal);
    try {
      // A range may reach far beyond the end of a small file.
      const end = Math.min(range.end, opened.totalBytes ?? range.end);
      const bytes = new Uint8Array(Math.max(0, end - range.start));
      const numBytes = (await cursor.skipTo(range.start)) ? await cursor.readInto(bytes) : 0;
      return { bytes: bytes.subarray(0, numBytes), fileBytes: opened.totalBytes };
    } finally {
      await cursor.close();
    }
  }

  /** A whole file from its first byte. The caller reads the body to its end or cancels it. */
  async stream(file: string, { signal }: ReadOptions = {}): Promise<FileStream> {
    const { totalBytes, body } = await this.#source.open(file, { signal });
    return { size: totalBytes, body };
  }

  /** Downloads what of these files is on the network and not kept in this browser yet. `stream` then reads the copies. */
  async fetchAll(files: readonly string[], options?: FetchAllOptions): Promise<void> {
    await this.#cached?.fetchAll(files, options);
  }

  /** SHA-256 of a whole file in hexadecimal digits; null where it is not known without reading it. */
  knownHash(file: string): string | null {
    return this.#cached?.knownHash(file) ?? null;
  }

  /** Why the model is not kept in this browser, in sentences for a person; usually empty. */
  get warnings(): readonly string[] {
    return this.#cached?.warnings ?? [];
  }

  /** No more will be read. Until then `deleteCachedModel` answers `busy`. */
  close(): void {
    this.#cached?.close();
  }
}

/** `environment`: where files of a model on the network are kept. */
export function openModelFiles(source: ModelSource, environment: CacheEnvironment): ModelFiles {
  return new ModelFiles(openSource(source, environment));
}

function openSource(source: ModelSource, environment: CacheEnvironment): FileSource {
  switch (source.kind) {
    case "hub":
      return new CachedSource(new HubRemote(source), source.cache ?? true, environment);
    case "url":
      return new CachedSource(new UrlRemote(source.url), source.cache ?? true, environment);
    case "files":
      return new FileListSource(source.files);
    case "directory":
      return new DirectorySource(source.directory);
  }
}
