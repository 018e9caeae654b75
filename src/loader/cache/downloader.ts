import { fetchFileList } from "../remote/hub-list";
import { openRemote } from "../remote/open-remote";
import type { RemoteFile } from "../remote/remote";
import { openVerified } from "../remote/verified-body";
import type { CacheEnvironment } from "./cache-environment";
import { downloadFile } from "./download-file";
import { type DownloadedBytes, DownloadProgress } from "./download-progress";
import { inParallel } from "./in-parallel";
import type { ModelFolder } from "./model-folder";
import { inStore, StoreError } from "./model-store";

export interface FetchAllOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (bytes: DownloadedBytes) => void;
}

const NUM_PARALLEL_DOWNLOADS = 3;

/** What brings files that are not in this browser yet. */
export const downloader = { downloadAll, fetchFileList, openRemote, openVerified };
export type Downloader = typeof downloader;

/** Brings files into the folder; `onDone` is told of each. Throws as downloadFile does. Whoever calls it holds the model's download lock. */
async function downloadAll(
  wanted: readonly RemoteFile[],
  folder: ModelFolder,
  { freeBytes, retry }: Pick<CacheEnvironment, "freeBytes" | "retry">,
  { signal, onProgress }: FetchAllOptions,
  onDone: (file: string) => void,
): Promise<void> {
  const progress = new DownloadProgress(onProgress, () => performance.now());
  for (const { file, size } of wanted) progress.set(file, 0, size);
  await checkRoom(wanted, folder, await freeBytes());
  await inParallel(NUM_PARALLEL_DOWNLOADS, wanted, signal, async (remote, signal) => {
    const { file } = remote;
    const remember = (record: Parameters<ModelFolder["setRecord"]>[1]) => folder.setRecord(file, record);
    await downloadFile({ remote, store: folder.store, record: folder.record(file), remember, progress, retry, signal });
    onDone(file);
  });
}

/** Fails before a download of which the end would not fit. */
async function checkRoom(wanted: readonly RemoteFile[], { store }: ModelFolder, numFree: number | null): Promise<void> {
  let numNeeded = 0;
  for (const { file, size } of wanted) {
    if (size !== null) numNeeded += size - (await inStore(() => store.size(file)));
  }
  if (numFree !== null && numNeeded > numFree) {
    throw new StoreError(new DOMException(`${numNeeded} bytes needed, ${numFree} free`, "QuotaExceededError"));
  }
}
