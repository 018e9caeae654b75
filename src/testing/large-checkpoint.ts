import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startStaticServer } from "../../scripts/static-server.mjs";
import { type SyntheticCheckpoint, type SyntheticShape, writeSyntheticCheckpoint } from "./synthetic-checkpoint";

/** More than 2^32 bytes; embedding and head are larger than any usual binding. */
export const LARGE_SHAPE: SyntheticShape = {
  numLayers: 18,
  hiddenSize: 2048,
  intermediateSize: 8192,
  numHeads: 32,
  numKvHeads: 8,
  vocabSize: 262_144,
};

/** Serves such a checkpoint from a sparse file while `use` runs. */
export async function withLargeCheckpoint(
  use: (url: string, checkpoint: SyntheticCheckpoint) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "cairn-large-"));
  const server = await startStaticServer({ mounts: { "/model/": dir } });
  try {
    await use(`${server.url}/model/`, await writeSyntheticCheckpoint(dir, LARGE_SHAPE));
  } finally {
    await server.close();
    await rm(dir, { recursive: true });
  }
}
