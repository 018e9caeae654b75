/** Bytes `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface OpenOptions {
  /** Only these bytes are needed. A source may send more, before or after. */
  readonly range?: ByteRange;
  /** The file is small and wanted whole: a source that keeps local copies takes one first. */
  readonly keep?: boolean;
  readonly signal?: AbortSignal;
}

export interface OpenedFile {
  /** Size of the whole file in bytes; null where the source does not tell. */
  readonly totalBytes: number | null;
  /** Position in the file of the body's first byte. */
  readonly bodyOffset: number;
  readonly body: ReadableStream<Uint8Array>;
}

/** A place where the files of one model are. */
export interface FileSource {
  readonly modelId: string;
  /** The caller reads the body to its end or cancels it. Throws `model_file_missing`, `network` or `aborted`. */
  open(file: string, options: OpenOptions): Promise<OpenedFile>;
}

/** A picked file, or a part of it. */
export function openBlob(blob: Blob, range: ByteRange | undefined): OpenedFile {
  const part = range ? blob.slice(range.start, range.end) : blob;
  return { totalBytes: blob.size, bodyOffset: range?.start ?? 0, body: part.stream() };
}

/** What a file of a model may be called: no path, nothing hidden. Names come from files and hubs that may lie. */
export const PLAIN_FILE_NAME = /^[\w-][\w.-]*$/;
