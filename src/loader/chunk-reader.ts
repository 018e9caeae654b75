const CHUNK_BYTES = 256 * 1024;

export interface ChunkReader {
  /** The next bytes, valid until the next call; null at the end. */
  read(): Promise<Uint8Array | null>;
  cancel(): Promise<void>;
}

/**
 * Reads a stream through one buffer of 256 KiB where the stream can fill it, as those of fetch can. Chunks that are made
 * anew pile up faster than they are collected: over a hundred megabytes of them while a large file passes.
 */
export function readChunks(body: ReadableStream<Uint8Array>): ChunkReader {
  const filling = fillingReader(body);
  if (!filling) {
    const reader = body.getReader();
    return { read: async () => (await reader.read()).value ?? null, cancel: () => reader.cancel() };
  }
  let buffer = new ArrayBuffer(CHUNK_BYTES);
  const read = async () => {
    const { done, value } = await filling.read(new Uint8Array(buffer));
    if (done) return null;
    buffer = value.buffer;
    return value;
  };
  return { read, cancel: () => filling.cancel() };
}

/** Null for a stream that knows only chunks of its own. */
function fillingReader(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | null {
  try {
    return body.getReader({ mode: "byob" });
  } catch {
    return null;
  }
}
