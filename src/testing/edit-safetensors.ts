import { safetensorsFile } from "../loader/test-files";

export interface RawTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A safetensors file with some of its tensors replaced, or left out where the new one is null. */
export function withTensors(
  file: Uint8Array,
  replacements: Readonly<Record<string, RawTensor | null>>,
): Uint8Array<ArrayBuffer> {
  const tensors = { ...readTensors(file), ...replacements };
  const header: Record<string, unknown> = {};
  const chunks: Uint8Array[] = [];
  let end = 0;
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!tensor) continue;
    const begin = end;
    end += tensor.bytes.length;
    header[name] = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] };
    chunks.push(tensor.bytes);
  }
  return safetensorsFile(header, new Uint8Array(Buffer.concat(chunks)));
}

function readTensors(file: Uint8Array): Record<string, RawTensor> {
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const data = file.subarray(8 + headerBytes);
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    new TextDecoder().decode(file.subarray(8, 8 + headerBytes)),
  );
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return Object.fromEntries(
    entries.map(([name, { dtype, shape, data_offsets }]) => [
      name,
      { dtype, shape, bytes: data.subarray(...data_offsets) },
    ]),
  );
}
