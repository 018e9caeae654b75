import { bytesToHex, Sha256 } from "../../util/sha256";
import { readChunks } from "../chunk-reader";
import { throwIfAborted, toReadError } from "../read-errors";
import type { RetryPolicy } from "../remote/fetch-retrying";
import { type OpenedRemote, openRemote } from "../remote/open-remote";
import type { RemoteFile } from "../remote/remote";
import { type Arrival, checkIntegrity } from "../remote/verified-body";
import type { DownloadProgress } from "./download-progress";
import type { FileRecord } from "./manifest";
import { inStore, type ModelStore, StoreError } from "./model-store";

export interface Download {
  readonly remote: RemoteFile;
  readonly store: ModelStore;
  /** What an earlier try left; null where there was none. */
  readonly record: FileRecord | null;
  /** Remembers what is known of the file from now on. */
  readonly remember: (record: FileRecord) => Promise<void>;
  readonly progress: DownloadProgress;
  readonly retry: RetryPolicy;
  readonly signal: AbortSignal | undefined;
}

/**
 * Brings a file into the store, going on with what an earlier try left there, and checks it against its size and, where
 * the hub tells it, its hash. What does not match is removed and fetched once more. Throws `integrity` { file, expected,
 * actual }, `network`, `model_file_missing`, `gated_model`, `aborted`, and StoreError. A partial file stays, except for the last.
 */
export async function downloadFile(download: Download): Promise<void> {
  const { remote, store, remember } = download;
  const { file } = remote;
  let { record } = download;
  for (let isSecond = false; ; isSecond = true) {
    const arrival = await receive({ ...download, record });
    const fault = checkIntegrity(remote, arrival);
    if (!fault) {
      const { size, sha256, validator } = arrival;
      const numStored = await inStore(() => store.size(file));
      if (numStored !== size) throw new StoreError(new Error(`it kept ${numStored} of ${size} bytes`));
      return remember({ state: "complete", size, sha256, validator });
    }
    await inStore(() => store.remove(file));
    if (isSecond) throw fault;
    record = null;
  }
}

async function receive({
  remote,
  store,
  record,
  remember,
  progress,
  retry,
  signal,
}: Download): Promise<Arrival & Pick<FileRecord, "validator">> {
  const { file } = remote;
  let hash = new Sha256();
  let size = canResume(remote, record) ? await inStore(() => store.size(file)) : 0;
  if (remote.size !== null && size > remote.size) size = 0;
  if (size > 0) await rehash(store, file, hash, signal);
  let opened = size === remote.size ? null : await openRemote(remote, { start: size, retry, signal });
  if (opened && size > 0 && !continues(remote, record, opened, size)) {
    if (opened.bodyOffset > 0) {
      await opened.body.cancel();
      opened = await openRemote(remote, { retry, signal });
    }
    size = 0;
    hash = new Sha256();
  }
  const expectedSize = remote.size ?? opened?.totalBytes ?? null;
  const validator = opened ? opened.validator : (record?.validator ?? null);
  if (size === 0) await inStore(() => store.remove(file));
  progress.set(file, size, expectedSize);
  await remember({ state: "partial", size: expectedSize, sha256: remote.sha256, validator });
  const onBytes = (chunk: Uint8Array) => {
    hash.update(chunk);
    size += chunk.length;
    progress.add(file, chunk.length);
    // More than was announced is wrong already, and could have no end.
    return expectedSize === null || size <= expectedSize;
  };
  if (opened) await pour(opened.body, store, file, onBytes, signal);
  return { size, sha256: bytesToHex(hash.digest()), expectedSize, validator };
}

/** Whether what an earlier try left is the beginning of the file that is there now, as far as can be told without asking. */
function canResume({ sha256 }: RemoteFile, record: FileRecord | null): boolean {
  return record?.state === "partial" && (sha256 !== null || isStrong(record.validator));
}

/** Whether an answer goes on where the store ends. Asked on our side: If-Range would cost a preflight that few hosts allow. */
function continues({ sha256 }: RemoteFile, record: FileRecord | null, opened: OpenedRemote, size: number): boolean {
  return opened.bodyOffset === size && (sha256 !== null || opened.validator === record?.validator);
}

/** A weak ETag promises the same meaning, not the same bytes. */
function isStrong(validator: string | null): boolean {
  return validator !== null && !validator.startsWith("W/");
}

async function rehash(
  store: ModelStore,
  file: string,
  hash: { update(bytes: Uint8Array): unknown },
  signal: AbortSignal | undefined,
): Promise<void> {
  const reader = readChunks(await inStore(() => store.read(file)));
  for (;;) {
    throwIfAborted(signal);
    const chunk = await inStore(() => reader.read());
    if (chunk === null) return;
    hash.update(chunk);
  }
}

/** Appends a body to a file, chunk by chunk, until `onBytes` says no. What arrived is kept whatever happens. */
async function pour(
  body: ReadableStream<Uint8Array>,
  store: ModelStore,
  file: string,
  onBytes: (chunk: Uint8Array) => boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const reader = readChunks(body);
  try {
    const writer = await inStore(() => store.append(file));
    const close = () => inStore(() => writer.close());
    try {
      for (;;) {
        throwIfAborted(signal);
        const chunk = await reader.read();
        if (chunk === null) break;
        await inStore(() => writer.write(chunk));
        if (!onBytes(chunk)) break;
      }
    } catch (thrown) {
      // What went wrong first counts.
      await close().catch(() => undefined);
      throw thrown;
    }
    await close();
  } catch (thrown) {
    throw thrown instanceof StoreError ? thrown : toReadError(thrown, file, signal);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
