import type { KvPool } from "./kv-planes";

/** The pages of blocks, and the buffer that they go to. */
export interface PageCopies {
  readonly blockIds: readonly number[];
  readonly target: GPUBuffer;
}

/** What makes of pages what lies in host slots, and pages of that. */
export interface PageCodec {
  /** Bytes of a page in a host slot; a multiple of 4. */
  readonly pageBytes: number;
  /** Encodes what puts the pages of each entry's blocks, one behind the other, to the beginning of its target. */
  copyOut(encoder: GPUCommandEncoder, copies: readonly PageCopies[]): void;
  /** Takes a block's page from `chunk` at `offset`, in bytes. It is in the queue when `flush` returns. */
  write(blockId: number, chunk: Uint8Array<ArrayBuffer>, offset: number): void;
  flush(): void;
}

/**
 * Pages byte for byte. A page is contiguous in a slot, plane 0's part first, so that its place does not depend on how the
 * pool is cut into planes:
 *
 *     page of block b     plane 0 [b * bytes0, + bytes0)     plane 1 [b * bytes1, + bytes1)
 *     place i of a slot   [i * pageBytes | bytes0 | bytes1 | ... | (i + 1) * pageBytes)
 */
export function exactPages({ queue }: GPUDevice, { planes }: Pick<KvPool, "planes">): PageCodec {
  return {
    pageBytes: planes.reduce((sum, { plane }) => sum + plane.pageBytes, 0),
    copyOut(encoder, copies) {
      for (const { blockIds, target } of copies) {
        let offset = 0;
        for (const blockId of blockIds) {
          for (const { plane, buffer } of planes) {
            encoder.copyBufferToBuffer(buffer, blockId * plane.pageBytes, target, offset, plane.pageBytes);
            offset += plane.pageBytes;
          }
        }
      }
    },
    write(blockId, chunk, offset) {
      for (const { plane, buffer } of planes) {
        queue.writeBuffer(buffer, blockId * plane.pageBytes, chunk, offset, plane.pageBytes);
        offset += plane.pageBytes;
      }
    },
    flush() {},
  };
}
