import type { ChunkRef, StorableRequest } from "./offload-policy";

/** Refused chunks that are offered again in one step, over all requests. */
const MAX_REOFFERS_PER_STEP = 64;

interface RefusedChunk {
  readonly chunk: ChunkRef;
  /** The store epoch in which it was refused; null: worth another try at once. */
  readonly storeEpoch: number | null;
}

interface RequestCursor {
  /** Chunks that were offered in every group: each came out accepted, present or gone, or is among the refused. */
  numOffered: number;
  /** Longest refused first. */
  refused: RefusedChunk[];
}

/**
 * How far each request's chunks were offered:
 *
 *     0                          numOffered        numChunks
 *     | accepted, present, gone,  |  `advance`      |  not full yet
 *     | or in the list of refused |  gives these    |
 */
export class StoreCursors {
  readonly #cursors = new Map<string, RequestCursor>();
  #numReoffers = 0;

  beginStep(): void {
    this.#numReoffers = 0;
  }

  /** Chunks to offer: refused ones that may fare better in this epoch, then what is new. */
  advance({ requestId, numGroups, numChunks }: StorableRequest, storeEpoch: number): ChunkRef[] {
    const cursor = this.#cursorOf(requestId);
    const chunks = this.#takeRefused(cursor, numChunks, storeEpoch);
    for (; cursor.numOffered < numChunks; cursor.numOffered++) {
      for (let group = 0; group < numGroups; group++) chunks.push({ group, chunk: cursor.numOffered });
    }
    return chunks;
  }

  /** Keeps a chunk for another offer: in any epoch but this one, or, with null, in any. */
  refuse(requestId: string, chunk: ChunkRef, storeEpoch: number | null): void {
    this.#cursorOf(requestId).refused.push({ chunk, storeEpoch });
  }

  forget(requestId: string): void {
    this.#cursors.delete(requestId);
  }

  /** A preempted request may have to compute again what it was refused for. */
  #takeRefused(cursor: RequestCursor, numChunks: number, storeEpoch: number): ChunkRef[] {
    const taken: ChunkRef[] = [];
    const kept: RefusedChunk[] = [];
    for (const refused of cursor.refused) {
      const exists = refused.chunk.chunk < numChunks;
      const isDue = exists && refused.storeEpoch !== storeEpoch && this.#numReoffers < MAX_REOFFERS_PER_STEP;
      if (isDue) this.#numReoffers += 1;
      if (isDue) taken.push(refused.chunk);
      else kept.push(refused);
    }
    cursor.refused = kept;
    return taken;
  }

  #cursorOf(requestId: string): RequestCursor {
    let cursor = this.#cursors.get(requestId);
    if (!cursor) {
      cursor = { numOffered: 0, refused: [] };
      this.#cursors.set(requestId, cursor);
    }
    return cursor;
  }
}
