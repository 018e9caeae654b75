/** A model of which files are kept in this browser. */
export interface CachedModel {
  /** What `deleteCachedModel` takes: the hub's id with its commit, or the folder's URL. */
  readonly key: string;
  /** What `createEngine({ model })` takes: "owner/name", or the folder's URL. */
  readonly model: string;
  /** The hub's commit; null for a URL. */
  readonly revision: string | null;
  /** Bytes on disk, those of unfinished downloads included. */
  readonly bytes: number;
  /** Bytes of all files that are known to belong to it; more than `bytes` while a download is unfinished. */
  readonly totalBytes: number;
  readonly isComplete: boolean;
  /** Milliseconds since 1970. */
  readonly lastUsedMs: number;
}
