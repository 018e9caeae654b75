import { CairnError } from "../util/errors";
import { testEnvironment } from "./memory-store.fixture";
import { type ModelFiles, openModelFiles } from "./model-files";

const UTF8 = new TextEncoder();

export interface HeaderEntry {
  readonly dtype: unknown;
  readonly shape: unknown;
  readonly data_offsets: unknown;
}

/** A safetensors file from a header, which may lie, and the bytes after it. */
export function safetensorsFile(header: unknown, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const json = UTF8.encode(typeof header === "string" ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(data, 8 + json.length);
  return file;
}

/** A safetensors file of U8 tensors with these shapes, one after the other; the bytes count up from 0. */
export function byteTensorsFile(shapes: Readonly<Record<string, readonly number[]>>): Uint8Array<ArrayBuffer> {
  const header: Record<string, HeaderEntry> = {};
  let end = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const begin = end;
    end += shape.reduce((product, dim) => product * dim, 1);
    header[name] = { dtype: "U8", shape, data_offsets: [begin, end] };
  }
  return safetensorsFile(
    header,
    Uint8Array.from({ length: end }, (_, index) => index),
  );
}

export function jsonFile(value: unknown): Uint8Array<ArrayBuffer> {
  return UTF8.encode(JSON.stringify(value));
}

/** Files as a person picks them, without a server. */
export function pickedFiles(files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>): ModelFiles {
  const picked = Object.entries(files).map(([name, bytes]) => new File([bytes], name));
  return openModelFiles({ kind: "files", files: picked }, testEnvironment(null));
}

/** Code and data of the CairnError that `promise` rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Pick<CairnError, "code" | "data">> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof CairnError) return { code: thrown.code, data: thrown.data };
    throw thrown;
  }
  throw new Error("the promise was fulfilled");
}
