import type { CairnError } from "../../util/errors";
import type { CacheEnvironment } from "../cache/cache-environment";

/** What a hub tells of a file. */
export interface ListedFile {
  readonly size: number;
  /** In hexadecimal digits; null for files that the hub keeps no hash of. */
  readonly sha256: string | null;
}

/** All files of a model, by name. */
export type FileList = Readonly<Record<string, ListedFile>>;

/** One file on the network. */
export interface RemoteFile {
  readonly file: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Null where nobody told. */
  readonly size: number | null;
  /** Tells whether parts of several answers belong together; without it their validators do. */
  readonly sha256: string | null;
  /** What is wrong with an answer; null where its body is the file, or the part that was asked for. */
  refusalOf(response: Response): CairnError | null;
}

/** ETag, else Last-Modified: other ones mean other bytes. Null where the server shows neither. */
export function validatorOf({ headers }: Response): string | null {
  return headers.get("etag") ?? headers.get("last-modified");
}

/** A model on the network, found. */
export interface RemoteModel {
  /** Names the local copy. */
  readonly key: string;
  /** What `createEngine({ model })` takes. */
  readonly model: string;
  /** The hub's commit; null for a URL. */
  readonly revision: string | null;
  /** What was asked for, and led to this commit. */
  readonly ref: string | null;
  /** Files of a list never change. Null where nobody tells what there is. */
  readonly list: FileList | null;
  /** Throws `model_file_missing` for a file that is known not to be there. */
  locate(file: string): RemoteFile;
}

/** What local copies remember of the hub, for when it cannot be asked. */
export interface RememberedModel {
  readonly key: string;
  readonly revision: string | null;
  /** What led to this commit, and when, in milliseconds since 1970. */
  readonly refs: Readonly<Record<string, number>>;
  readonly list: FileList | null;
  /** All its files are there. */
  readonly isComplete: boolean;
}

export interface Remote {
  readonly modelId: string;
  find(
    remembered: readonly RememberedModel[],
    environment: CacheEnvironment,
    signal?: AbortSignal,
  ): Promise<RemoteModel>;
}
