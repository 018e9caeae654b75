import { fromBf16Bits, fromF16Bits, toBf16Bits, toF16Bits } from "../kernels/reference/float-bits";
import { CairnError } from "../util/errors";

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Tensors by their name in the checkpoint. */
export type TensorMap = ReadonlyMap<string, Tensor>;

export type TensorDtype = "F32" | "F16" | "BF16";

interface HeaderEntry {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [begin: number, end: number];
}

/** Reads a whole safetensors file that tests trust; every dtype but F32, F16 and BF16 is `unsupported_dtype`. */
export function decodeSafetensors(bytes: Uint8Array): TensorMap {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  const header: Record<string, HeaderEntry> = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)));
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [begin, end] = entry.data_offsets.map((offset) => 8 + headerLength + offset);
    // A copy, because typed arrays need alignment; `slice` would not copy out of Node's Buffer.
    const copy = new Uint8Array(bytes.subarray(begin, end));
    tensors.set(name, { shape: entry.shape, data: decodeValues(name, entry.dtype, copy.buffer) });
  }
  return tensors;
}

function decodeValues(tensor: string, dtype: TensorDtype, buffer: ArrayBuffer): Float32Array {
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F16":
      return Float32Array.from(new Uint16Array(buffer), fromF16Bits);
    case "BF16":
      return Float32Array.from(new Uint16Array(buffer), fromBf16Bits);
    default:
      throw new CairnError("unsupported_dtype", `Tensor ${tensor} has dtype ${dtype}`, {
        tensor,
        dtype: dtype satisfies never,
      });
  }
}

/** A safetensors file of `tensors`, each rounded to `dtype`. */
export function encodeSafetensors(tensors: TensorMap, dtype: TensorDtype): Uint8Array<ArrayBuffer> {
  const header: Record<string, HeaderEntry> = {};
  const chunks: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    const chunk = encodeValues(data, dtype);
    header[name] = { dtype, shape, data_offsets: [offset, offset + chunk.length] };
    chunks.push(chunk);
    offset += chunk.length;
  }
  const json = JSON.stringify(header);
  // Padded so that the tensors start at a multiple of 8 bytes, as the format asks.
  const headerBytes = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  const bytes = new Uint8Array(8 + headerBytes.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes.length), true);
  bytes.set(headerBytes, 8);
  let position = 8 + headerBytes.length;
  for (const chunk of chunks) {
    bytes.set(chunk, position);
    position += chunk.length;
  }
  return bytes;
}

function encodeValues(data: Float32Array, dtype: TensorDtype): Uint8Array {
  if (dtype === "F32") return new Uint8Array(data.slice().buffer);
  return new Uint8Array(Uint16Array.from(data, dtype === "F16" ? toF16Bits : toBf16Bits).buffer);
}
