import { CairnError } from "../util/errors";
import { bytesToHex, Sha256 } from "../util/sha256";
import { ByteCursor } from "./byte-cursor";
import type { ModelFiles } from "./model-files";
import { invalidSafetensors } from "./safetensors";
import type { TensorInfo, WeightMap, WeightPiece } from "./weight-map";
import type { FileHash } from "./weights-hash";

export interface StreamWeightsOptions {
  /** The tensors wanted; the others are skipped as they pass. */
  readonly names: ReadonlySet<string>;
  /** Most bytes in a piece, unless one row alone is longer. */
  readonly maxPieceBytes?: number;
  readonly signal?: AbortSignal;
  /** Bytes of the wanted tensors read so far, and of all of them, over all files. At most once a MiB, and at the end. */
  readonly onProgress?: (file: string, loaded: number, total: number) => void;
  /** Called once for every file that holds a wanted tensor, after its last piece. Files whose hash the source does not know are then read to their end. */
  readonly onFileHash?: (file: string, hash: FileHash) => void;
}

const DEFAULT_MAX_PIECE_BYTES = 16 * 1024 * 1024;
const PROGRESS_STEP_BYTES = 1024 * 1024;

/**
 * Streams each file once and yields the wanted tensors in file order, cut into pieces; a tensor without elements gives
 * none. Memory: the piece buffer and one chunk of the stream. Throws `tensor_missing` { tensor }, `invalid_safetensors`
 * { file, reason } when a file ends early, `network`, `aborted`.
 */
export async function* streamWeights(
  files: ModelFiles,
  weightMap: WeightMap,
  { names, maxPieceBytes = DEFAULT_MAX_PIECE_BYTES, signal, onProgress, onFileHash }: StreamWeightsOptions,
): AsyncGenerator<WeightPiece, void, undefined> {
  const tensorsByFile = groupByFile(weightMap, names);
  const tensors = [...tensorsByFile.values()].flat();
  const buffer = new Uint8Array(Math.max(0, ...tensors.map((tensor) => largestPieceBytes(tensor, maxPieceBytes))));
  const progress = new Progress(tensors, onProgress);
  for (const [file, fileTensors] of tensorsByFile) {
    const knownHash = files.knownHash(file);
    const hasher = onFileHash && knownHash === null ? new Sha256() : null;
    const { size, body } = await files.stream(file, { signal });
    const onBytes = hasher ? (bytes: Uint8Array) => hasher.update(bytes) : undefined;
    const cursor = new ByteCursor(file, { totalBytes: size, bodyOffset: 0, body }, signal, onBytes);
    try {
      for (const tensor of fileTensors) yield* readTensor(cursor, tensor, buffer, maxPieceBytes, progress);
      if (hasher) await skipToEnd(cursor, weightMap, file);
      onFileHash?.(file, hasher ? bytesToHex(hasher.digest()) : (knownHash as FileHash));
    } finally {
      await cursor.close();
    }
  }
}

async function* readTensor(
  cursor: ByteCursor,
  tensor: TensorInfo,
  buffer: Uint8Array<ArrayBuffer>,
  maxPieceBytes: number,
  progress: Progress,
): AsyncGenerator<WeightPiece, void, undefined> {
  const { numRows, rowBytes, rowsPerPiece } = rowLayout(tensor, maxPieceBytes);
  if (!(await cursor.skipTo(tensor.byteOffset))) throw endsEarly(cursor, tensor);
  for (let firstRow = 0; firstRow < numRows; firstRow += rowsPerPiece) {
    const numPieceRows = Math.min(rowsPerPiece, numRows - firstRow);
    const bytes = buffer.subarray(0, numPieceRows * rowBytes);
    const numRead = await cursor.readInto(bytes, (numBytes) => progress.report(tensor.file, numBytes));
    if (numRead < bytes.length) throw endsEarly(cursor, tensor);
    progress.finishPiece(bytes.length);
    yield { tensor, firstRow, numRows: numPieceRows, bytes };
  }
}

/** The last tensor of a file ends it, wanted or not. */
async function skipToEnd(cursor: ByteCursor, weightMap: WeightMap, file: string): Promise<void> {
  const end = (tensor: TensorInfo) => tensor.byteOffset + tensor.byteLength;
  const all = [...weightMap.values()].filter((tensor) => tensor.file === file);
  const last = all.reduce((latest, tensor) => (end(tensor) > end(latest) ? tensor : latest));
  if (!(await cursor.skipTo(end(last)))) throw endsEarly(cursor, last);
}

/** Tensors wanted of each file, in the order of their bytes. */
function groupByFile(weightMap: WeightMap, names: ReadonlySet<string>): Map<string, TensorInfo[]> {
  const byFile = new Map<string, TensorInfo[]>();
  for (const name of names) {
    const tensor = weightMap.get(name);
    if (!tensor)
      throw new CairnError("tensor_missing", `The model's files have no tensor "${name}".`, { tensor: name });
    const group = byFile.get(tensor.file);
    if (group) group.push(tensor);
    else byFile.set(tensor.file, [tensor]);
  }
  for (const group of byFile.values()) group.sort((a, b) => a.byteOffset - b.byteOffset);
  return byFile;
}

function rowLayout({ shape, byteLength }: TensorInfo, maxPieceBytes: number) {
  if (byteLength === 0) return { numRows: 0, rowBytes: 0, rowsPerPiece: 1 };
  const numRows = shape.slice(0, -1).reduce((product, dim) => product * dim, 1);
  const rowBytes = byteLength / numRows;
  return { numRows, rowBytes, rowsPerPiece: Math.max(1, Math.floor(maxPieceBytes / rowBytes)) };
}

function largestPieceBytes(tensor: TensorInfo, maxPieceBytes: number): number {
  const { numRows, rowBytes, rowsPerPiece } = rowLayout(tensor, maxPieceBytes);
  return Math.min(numRows, rowsPerPiece) * rowBytes;
}

function endsEarly(cursor: ByteCursor, { name, file, byteOffset, byteLength }: TensorInfo): CairnError {
  const end = byteOffset + byteLength;
  return invalidSafetensors(file, `it ends at byte ${cursor.position}, before the end of tensor "${name}" at ${end}`);
}

class Progress {
  readonly #onProgress: StreamWeightsOptions["onProgress"];
  readonly #totalBytes: number;
  #finishedBytes = 0;
  #reportedBytes = 0;

  constructor(tensors: readonly TensorInfo[], onProgress: StreamWeightsOptions["onProgress"]) {
    this.#onProgress = onProgress;
    this.#totalBytes = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  }

  /** `pieceBytes` of the piece under way have been read. */
  report(file: string, pieceBytes: number): void {
    const loaded = this.#finishedBytes + pieceBytes;
    if (loaded < this.#reportedBytes + PROGRESS_STEP_BYTES && loaded < this.#totalBytes) return;
    this.#reportedBytes = loaded;
    this.#onProgress?.(file, loaded, this.#totalBytes);
  }

  finishPiece(pieceBytes: number): void {
    this.#finishedBytes += pieceBytes;
  }
}
