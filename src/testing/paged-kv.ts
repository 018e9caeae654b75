import type { KvLayerParams } from "../kernels/kv-layer";
import type { KvType } from "../kernels/modules";
import { roundToF16, toF16Bits } from "../kernels/reference/float-bits";
import { BLOCK_SIZE } from "../kv/geometry";
import { blockTableOffset } from "../runner/step-buffer";
import { assert } from "../util/errors";
import { NAN_WORD } from "./kernel-case";
import { Random } from "./random";
import { TEST_STEP_SIZES } from "./test-step";

export interface PagedKvShape {
  readonly kvType: KvType;
  readonly numKvHeads: number;
  readonly headDim: number;
}

/** Positions [firstPosition, endPosition) of a row are there; blocks wholly before them were given back. */
export interface PagedRow {
  readonly row: number;
  readonly firstPosition: number;
  readonly endPosition: number;
}

/** The layer at hand is slot 1 of 3 in its plane, its KV cache group the second of 2. */
const NUM_LAYER_SLOTS = 3;
const LAYER_SLOT = 1;
const GROUP = 1;
/** Given-back entries of a table, and those of blocks not yet allocated, name these blocks, in which all is NaN. */
const NULL_BLOCK = 0;
const STALE_BLOCK = 1;

/** A KV cache in which every slot that is not told to hold a value is NaN, over blocks in shuffled order. */
export class PagedKv {
  readonly layer: KvLayerParams;
  readonly blockTables: Uint32Array<ArrayBuffer>;
  readonly #shape: PagedKvShape;
  readonly #words: Uint32Array<ArrayBuffer>;

  constructor(shape: PagedKvShape, rows: readonly PagedRow[]) {
    this.#shape = shape;
    const slotElements = 2 * shape.numKvHeads * BLOCK_SIZE * shape.headDim;
    this.layer = {
      tableOffset: blockTableOffset(TEST_STEP_SIZES, GROUP, 0),
      tableStride: TEST_STEP_SIZES.maxBlocksPerRow,
      pageElements: NUM_LAYER_SLOTS * slotElements,
      slotOffset: LAYER_SLOT * slotElements,
      numKvHeads: shape.numKvHeads,
    };
    const numEntries = TEST_STEP_SIZES.numGroups * TEST_STEP_SIZES.maxRows * TEST_STEP_SIZES.maxBlocksPerRow;
    this.blockTables = new Uint32Array(numEntries).fill(STALE_BLOCK);
    const numBlocks = this.#allocate(rows);
    this.#words = new Uint32Array(numBlocks * this.layer.pageElements * this.#wordsPerElement).fill(NAN_WORD);
  }

  /** The plane: [block][layer slot][K, V][kv head][token][head dim]. */
  get words(): Uint32Array<ArrayBuffer> {
    return this.#words;
  }

  /** Stores K or V [numKvHeads * headDim] of a position, values that the KV type holds exactly. */
  set(row: number, position: number, kOrV: "k" | "v", values: ArrayLike<number>): void {
    const { headDim, numKvHeads, kvType } = this.#shape;
    const floats = new Float32Array(this.#words.buffer);
    const halves = new Uint16Array(this.#words.buffer);
    for (let head = 0; head < numKvHeads; head++) {
      const element = this.element(row, position, kOrV, head);
      for (let d = 0; d < headDim; d++) {
        const value = values[head * headDim + d];
        if (kvType === "f32") floats[element + d] = value;
        else halves[element + d] = toF16Bits(value);
      }
    }
  }

  /** The plane's element that holds dimension 0. */
  element(row: number, position: number, kOrV: "k" | "v", head: number): number {
    const { headDim, numKvHeads } = this.#shape;
    const entry = this.#tableStart(row) + Math.floor(position / BLOCK_SIZE);
    const block = this.blockTables[entry];
    assert(block > STALE_BLOCK, () => `row ${row} has no block for position ${position}`);
    const numHeadsBefore = (kOrV === "k" ? 0 : numKvHeads) + head;
    const inSlot = (numHeadsBefore * BLOCK_SIZE + (position % BLOCK_SIZE)) * headDim;
    return block * this.layer.pageElements + this.layer.slotOffset + inSlot;
  }

  get #wordsPerElement(): number {
    return this.#shape.kvType === "f32" ? 1 : 0.5;
  }

  #tableStart(row: number): number {
    return this.layer.tableOffset + row * this.layer.tableStride;
  }

  #allocate(rows: readonly PagedRow[]): number {
    const entries = rows.flatMap(({ row, firstPosition, endPosition }) => {
      const start = this.#tableStart(row);
      const firstBlock = Math.floor(firstPosition / BLOCK_SIZE);
      const numBlocks = Math.ceil(endPosition / BLOCK_SIZE);
      assert(numBlocks <= this.layer.tableStride, "a row is longer than its table");
      this.blockTables.fill(NULL_BLOCK, start, start + firstBlock);
      return Array.from({ length: numBlocks - firstBlock }, (_, i) => start + firstBlock + i);
    });
    const random = new Random(entries.length);
    entries
      .map((entry) => ({ entry, key: random.uint32() }))
      .sort((a, b) => a.key - b.key)
      .forEach(({ entry }, i) => {
        this.blockTables[entry] = STALE_BLOCK + 1 + i;
      });
    return STALE_BLOCK + 1 + entries.length;
  }
}

/** Random K or V rows that the KV type holds exactly. */
export function randomKv(random: Random, { kvType, numKvHeads, headDim }: PagedKvShape): Float32Array<ArrayBuffer> {
  const values = random.normalArray(numKvHeads * headDim);
  return kvType === "f16" ? roundToF16(values) : values;
}
