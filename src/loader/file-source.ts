/** Bytes `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface OpenOptions {
  /** Only these bytes are needed. A source may send more, before or after. */
  readonly range?: ByteRange;
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
