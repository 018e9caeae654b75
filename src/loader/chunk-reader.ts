export interface ChunkReader {
  /** The next bytes, valid until the next call; null at the end. */
  read(): Promise<Uint8Array | null>;
  cancel(): Promise<void>;
}

/**
 * Reads a stream whose chunks nobody else holds, as those of fetch and of files are. Each is freed when the next is asked
 * for: left to the garbage collector, a hundred megabytes of them pile up while a large file passes.
 */
export function readChunks(body: ReadableStream<Uint8Array>): ChunkReader {
  const reader = body.getReader();
  let last: Uint8Array | undefined;
  const read = async () => {
    const buffer = last?.buffer as { byteLength: number; transfer?(size: number): unknown } | undefined;
    if (buffer && buffer.byteLength === last?.length) buffer.transfer?.(0);
    last = (await reader.read()).value;
    return last ?? null;
  };
  return { read, cancel: () => reader.cancel() };
}
