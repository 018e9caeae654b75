import type { GpuAdapter } from "../gpu/device";
import { sleep } from "../loader/remote/fetch-retrying";
import type { EngineInit } from "../protocol/messages";
import { CairnError } from "../util/errors";
import { openFiles } from "./checkpoint";
import type { LoadContext } from "./load-context";
import { type DeviceModel, type LoadedDevice, loadDevice } from "./load-device";
import { requestEngineAdapter } from "./plan-memory";
import type { RebuildRunner } from "./recovery";

/** A GPU's process, or its driver, that starts anew has no adapter for a moment. */
const ADAPTER_TRIES = 8;
const MS_BETWEEN_TRIES = 250;

/**
 * Loads devices after the first: with another adapter, for one gives no second device, as many blocks as the scheduler counts on, and
 * the weights of the same files, for the KV that other tiers have is of these.
 */
export function rebuildRunnerFor(
  init: EngineInit,
  model: DeviceModel,
  { numBlocks, fileHashes }: Pick<LoadedDevice, "numBlocks" | "fileHashes">,
  context: LoadContext,
): RebuildRunner {
  const { revision } = model.checkpoint.files;
  // A branch may have moved on since.
  const source = revision && init.model.kind === "hub" ? { ...init.model, revision } : init.model;
  return async (epoch, signal) => {
    const files = openFiles(source, context.loadPart);
    try {
      const adapter = await persist(() => requestEngineAdapter(init, model.engineConfig, context.gpu), signal);
      const again = { ...model, checkpoint: { ...model.checkpoint, files } };
      const quietly = { ...context, signal, onProgress: () => {} };
      const device = await loadDevice(adapter, again, { numBlocks, minBlocks: numBlocks }, epoch, quietly);
      const change = findChange(fileHashes, device.fileHashes);
      if (!change) return device.runner;
      device.runner.dispose();
      throw change;
    } finally {
      files.close();
    }
  };
}

async function persist(request: () => Promise<GpuAdapter>, signal: AbortSignal): Promise<GpuAdapter> {
  for (let numTries = 1; numTries < ADAPTER_TRIES && !signal.aborted; numTries++) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof CairnError && error.code === "no_adapter")) throw error;
      await sleep(MS_BETWEEN_TRIES, signal);
    }
  }
  return request();
}

function findChange(before: LoadedDevice["fileHashes"], now: LoadedDevice["fileHashes"]): CairnError | null {
  for (const [file, expected] of before) {
    const actual = now.get(file);
    const message = `"${file}" has changed since it was loaded.`;
    if (actual !== expected) return new CairnError("integrity", message, { file, expected, actual });
  }
  return null;
}
