import type { EngineInit } from "../protocol/messages";
import { CairnError } from "../util/errors";
import { openFiles } from "./checkpoint";
import type { LoadContext } from "./load-context";
import { type DeviceModel, type LoadedDevice, loadDevice } from "./load-device";
import { requestEngineAdapter } from "./plan-memory";
import type { RebuildRunner } from "./recovery";

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
      const adapter = await requestEngineAdapter(init, model.engineConfig, context.gpu);
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

function findChange(before: LoadedDevice["fileHashes"], now: LoadedDevice["fileHashes"]): CairnError | null {
  for (const [file, expected] of before) {
    const actual = now.get(file);
    const message = `"${file}" has changed since it was loaded.`;
    if (actual !== expected) return new CairnError("integrity", message, { file, expected, actual });
  }
  return null;
}
