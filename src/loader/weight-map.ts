import { CairnError } from "../util/errors";
import { briefJson, isRecord } from "../util/json";
import type { ModelFiles } from "./model-files";
import { invalidSafetensors, readSafetensorsHeader, type TensorInfo } from "./safetensors";

export type { TensorInfo } from "./safetensors";

/** Every tensor of a checkpoint, by name, whatever file it is in. */
export type WeightMap = ReadonlyMap<string, TensorInfo>;

/** Whole rows of one tensor, seen as [rows = product of all dims but the last, columns = last dim]; 1-D is one row. */
export interface WeightPiece {
  readonly tensor: TensorInfo;
  readonly firstRow: number;
  readonly numRows: number;
  /** Valid until the next piece is asked for: all pieces share one buffer, each from its start. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const SINGLE_FILE = "model.safetensors";
const INDEX_FILE = "model.safetensors.index.json";

/** Reads the headers of `model.safetensors`, or of all shards that its index names, before any weight is read. */
export async function readWeightMap(files: ModelFiles, signal?: AbortSignal): Promise<WeightMap> {
  try {
    const tensors = await readSafetensorsHeader(files, SINGLE_FILE, signal);
    return new Map(tensors.map((tensor) => [tensor.name, tensor]));
  } catch (thrown) {
    if (!(thrown instanceof CairnError && thrown.code === "model_file_missing")) throw thrown;
    const index = await files.readJson(INDEX_FILE, { optional: true, signal, invalidCode: "invalid_safetensors" });
    if (index === null) throw thrown;
    return readShards(files, parseIndex(index), signal);
  }
}

/** Tensor name -> shard file. */
type ShardIndex = ReadonlyMap<string, string>;

function parseIndex(index: unknown): ShardIndex {
  const weightMap = isRecord(index) ? index.weight_map : undefined;
  if (!isRecord(weightMap)) throw invalidSafetensors(INDEX_FILE, "weight_map is not an object");
  const shards = new Map<string, string>();
  for (const [name, file] of Object.entries(weightMap)) {
    // A path or a URL here could point a request away from the model's own place.
    if (typeof file !== "string" || !/^[\w-][\w.-]*$/.test(file)) {
      throw invalidSafetensors(INDEX_FILE, `tensor "${name}": ${briefJson(file)} is not a plain file name`);
    }
    shards.set(name, file);
  }
  if (shards.size === 0) throw invalidSafetensors(INDEX_FILE, "weight_map names no tensor");
  return shards;
}

async function readShards(files: ModelFiles, index: ShardIndex, signal?: AbortSignal): Promise<WeightMap> {
  const weights = new Map<string, TensorInfo>();
  for (const file of new Set(index.values())) {
    for (const tensor of await readSafetensorsHeader(files, file, signal)) {
      if (index.get(tensor.name) !== file) {
        throw invalidSafetensors(file, `tensor "${tensor.name}" is here, but not by ${INDEX_FILE}`);
      }
      weights.set(tensor.name, tensor);
    }
  }
  for (const [name, file] of index) {
    if (!weights.has(name)) throw invalidSafetensors(file, `tensor "${name}" is missing, ${INDEX_FILE} places it here`);
  }
  return weights;
}
