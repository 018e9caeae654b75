import { CairnError } from "../util/errors";
import { briefJson, isRecord } from "../util/json";
import type { ModelFiles } from "./model-files";

/** One tensor of a checkpoint: what it is and where its bytes lie. */
export interface TensorInfo {
  readonly name: string;
  /** As the file spells it: "F32", "F16", "BF16", ... */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly file: string;
  /** Position of the first byte in the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Bytes of one element, for the dtypes whose elements are whole bytes. */
const DTYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ...["BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"].map((dtype) => [dtype, 1] as const),
  ...["U16", "I16", "F16", "BF16"].map((dtype) => [dtype, 2] as const),
  ...["U32", "I32", "F32"].map((dtype) => [dtype, 4] as const),
  ...["U64", "I64", "F64", "C64"].map((dtype) => [dtype, 8] as const),
]);

/** Bytes of the little-endian u64 that opens a file and holds the length of the JSON after it. */
const LENGTH_BYTES = 8;
/** Longest header that the format allows. */
const MAX_HEADER_BYTES = 100_000_000;
/** Asked for at once; most headers fit, so most files take one request. */
const FIRST_READ_BYTES = 256 * 1024;

/** Reads and checks a file's header without its tensors' bytes. Throws `invalid_safetensors` { file, reason }. */
export async function readSafetensorsHeader(
  files: ModelFiles,
  file: string,
  signal?: AbortSignal,
): Promise<TensorInfo[]> {
  const first = await files.readRange(file, { start: 0, end: FIRST_READ_BYTES }, signal);
  const headerBytes = headerLength(first.bytes, first.fileBytes, file);
  const dataStart = LENGTH_BYTES + headerBytes;
  const { bytes, fileBytes } =
    first.bytes.length >= dataStart ? first : await files.readRange(file, { start: 0, end: dataStart }, signal);
  if (bytes.length < dataStart) {
    throw invalidSafetensors(file, `the file ends at byte ${bytes.length}, inside its header of ${headerBytes} bytes`);
  }
  return parseSafetensorsHeader(bytes.subarray(LENGTH_BYTES, dataStart), { file, dataStart, fileBytes });
}

function headerLength(bytes: Uint8Array, fileBytes: number | null, file: string): number {
  if (bytes.length < LENGTH_BYTES) {
    throw invalidSafetensors(file, `the file has ${bytes.length} bytes, too few for a header`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw invalidSafetensors(
      file,
      `a header of ${length} bytes is longer than the format allows; is this the right file?`,
    );
  }
  if (fileBytes !== null && LENGTH_BYTES + Number(length) > fileBytes) {
    throw invalidSafetensors(file, `a header of ${length} bytes does not fit the file's ${fileBytes} bytes`);
  }
  return Number(length);
}

export interface HeaderPlace {
  readonly file: string;
  /** Position in the file where the header ends and the tensors' bytes begin. */
  readonly dataStart: number;
  /** Size of the whole file; null where it is not known, and the check against it is left out. */
  readonly fileBytes: number | null;
}

/** Tensors in the order of their bytes. They fill the file from `dataStart` on without a gap or an overlap. */
export function parseSafetensorsHeader(json: Uint8Array, place: HeaderPlace): TensorInfo[] {
  const header = parseHeaderJson(json, place.file);
  const tensors = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => parseTensor(name, entry, place));
  tensors.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  checkLayout(tensors, place);
  return tensors;
}

function parseHeaderJson(json: Uint8Array, file: string): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(json);
    header = JSON.parse(text);
  } catch (thrown) {
    throw invalidSafetensors(file, `the header is not JSON: ${(thrown as Error).message}`);
  }
  if (!isRecord(header)) throw invalidSafetensors(file, "the header is not a JSON object");
  // JSON.parse keeps the last of two equal names and says nothing.
  if (countMembers(text) !== Object.keys(header).length) {
    throw invalidSafetensors(file, "the header names a tensor twice");
  }
  return header;
}

/** Number of members of a JSON text's outermost object, names that occur twice included. The text must be valid JSON. */
function countMembers(json: string): number {
  let depth = 0;
  let numMembers = 0;
  let isInString = false;
  // One character a match: a pattern for a whole string would exhaust the stack on a long one.
  for (const [token] of json.matchAll(/\\.|["{}[\]:]/g)) {
    if (token === '"') isInString = !isInString;
    else if (isInString) continue;
    else if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (token === ":" && depth === 1) numMembers++;
  }
  return numMembers;
}

function parseTensor(name: string, entry: unknown, { file, dataStart }: HeaderPlace): TensorInfo {
  const fail = (reason: string) => invalidSafetensors(file, `tensor "${name}": ${reason}`);
  if (!isRecord(entry)) throw fail("its entry is not an object");
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string") throw fail("dtype is not a string");
  const elementBytes = DTYPE_BYTES.get(dtype);
  if (elementBytes === undefined) {
    const message = `Tensor "${name}" of "${file}" has the unsupported dtype ${briefJson(dtype)}.`;
    throw new CairnError("unsupported_dtype", message, { tensor: name, dtype, file });
  }
  if (!isCountList(shape)) throw fail("shape is not a list of integers >= 0");
  if (!isCountList(offsets) || offsets.length !== 2) throw fail("data_offsets is not a pair of integers >= 0");
  const [begin, end] = offsets;
  if (end < begin) throw fail(`data_offsets [${begin}, ${end}] are in the wrong order`);
  const neededBytes = shape.reduce((product, dim) => product * dim, elementBytes);
  if (neededBytes !== end - begin) {
    throw fail(`shape ${briefJson(shape)} of ${dtype} needs ${neededBytes} bytes, data_offsets give ${end - begin}`);
  }
  return { name, dtype, shape, file, byteOffset: dataStart + begin, byteLength: end - begin };
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function checkLayout(tensors: readonly TensorInfo[], { file, dataStart, fileBytes }: HeaderPlace): void {
  let position = dataStart;
  for (const { name, byteOffset, byteLength } of tensors) {
    if (byteOffset !== position) {
      const fault = byteOffset < position ? "overlaps the tensor before it" : "leaves a gap before it";
      throw invalidSafetensors(file, `tensor "${name}" ${fault}: it starts at byte ${byteOffset}, not ${position}`);
    }
    position += byteLength;
  }
  if (fileBytes !== null && position !== fileBytes) {
    throw invalidSafetensors(file, `the header describes ${position} bytes, the file has ${fileBytes}`);
  }
}

export function invalidSafetensors(file: string, reason: string): CairnError {
  return new CairnError("invalid_safetensors", `"${file}" is not a usable safetensors file: ${reason}.`, {
    file,
    reason,
  });
}
