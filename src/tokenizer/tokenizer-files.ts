import type { ErrorCode } from "../util/errors";

interface ReadOptions {
  /** A missing file reads as null. */
  readonly optional?: boolean;
  /** Code of the error for text that is not JSON. */
  readonly invalidCode?: ErrorCode;
  readonly signal?: AbortSignal;
}

/** What tokenizers and templates need of a model's files. */
export interface TokenizerFiles {
  readText(file: string, options: ReadOptions): Promise<string | null>;
  readJson(file: string, options: ReadOptions): Promise<unknown>;
}
