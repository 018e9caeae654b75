import { expect } from "vitest";
import { Buffers, MAP_MODE_READ, USAGE } from "../gpu/buffers";
import type { GpuDevice } from "../gpu/device";
import { PipelineCache } from "../gpu/pipeline-cache";
import { type KvDtype, type KvGeometry, makeKvGeometry } from "../kv/geometry";
import { configWithWindows } from "../kv/geometry.fixture";
import type { OffloadEncoding } from "../kv/offload-encoding";
import type { LoadJob, StepTransfers, StoreJob } from "../offload/transfer-job";
import { Random } from "../testing/random";
import { Int8Pages } from "./int8-pages";
import { allocateKvPool, type KvPool } from "./kv-planes";
import { KvTransfers, type KvTransfersParts } from "./kv-transfers";
import { exactPages, type PageCodec } from "./page-codec";
import type { DelayMap } from "./staging-ring";

export const NUM_BLOCKS = 12;
export const BLOCKS_PER_CHUNK = 4;
export const NUM_SLOTS = 4;
export const EPOCH = 3;
const NUM_LAYERS = 5;

export interface TransferRigOptions {
  readonly numPlanes?: 1 | 2 | 3;
  readonly dtype?: KvDtype;
  readonly encoding?: OffloadEncoding;
  readonly blocksPerChunk?: number;
  readonly numStagingSlots?: number;
  readonly delayMap?: DelayMap;
}

/** A pool of pages and host slots, all of them full of bytes that differ, and the transfers between them. */
export class TransferRig {
  readonly buffers: Buffers;
  readonly pool: KvPool;
  readonly geometry: KvGeometry;
  readonly pageBytes: number;
  readonly parts: KvTransfersParts;
  readonly transfers: KvTransfers;
  /** What `transfers` takes for the host memory; a slot that is not there throws. */
  readonly slots: Uint8Array<ArrayBuffer>[];
  readonly gpu: GpuDevice;
  readonly #random = new Random(7);

  /** Five layers in one group: planes of 5, of 3 and 2, or of 2, 2 and 1 layers. */
  static async open(gpu: GpuDevice, options: TransferRigOptions = {}): Promise<TransferRig> {
    const { dtype = "f16", encoding = "exact", numStagingSlots = 4, blocksPerChunk = BLOCKS_PER_CHUNK } = options;
    const buffers = new Buffers(gpu.device);
    const config = configWithWindows(Array(NUM_LAYERS).fill(null));
    const geometry = { ...makeKvGeometry(config, dtype), blocksPerChunk };
    const maxLayersPerPlane = Math.ceil(NUM_LAYERS / (options.numPlanes ?? 2));
    const maxBindingBytes = maxLayersPerPlane * NUM_BLOCKS * geometry.layerSlotBytes;
    const pool = await allocateKvPool(buffers, geometry, NUM_BLOCKS, NUM_BLOCKS, maxBindingBytes);
    const { device } = gpu;
    const int8Parts = { device, buffers, pipelines: new PipelineCache(device), pool, geometry, numStagingSlots };
    const pages = encoding === "int8" ? await Int8Pages.create(int8Parts) : exactPages(device, pool);
    return new TransferRig(gpu, buffers, pool, geometry, pages, options);
  }

  private constructor(
    gpu: GpuDevice,
    buffers: Buffers,
    pool: KvPool,
    geometry: KvGeometry,
    pages: PageCodec,
    { numStagingSlots = 4, delayMap }: TransferRigOptions,
  ) {
    this.gpu = gpu;
    this.buffers = buffers;
    this.pool = pool;
    const { pageBytes, blocksPerChunk } = geometry;
    this.geometry = geometry;
    this.pageBytes = pageBytes;
    this.slots = Array.from({ length: NUM_SLOTS }, () => this.randomBytes(blocksPerChunk * pages.pageBytes));
    for (let blockId = 0; blockId < NUM_BLOCKS; blockId++) this.writePage(blockId, this.randomBytes(pageBytes));
    this.parts = {
      gpu,
      buffers,
      pages,
      hostSlots: { slot: (slotId) => this.#slot(slotId) },
      geometry,
      numStagingSlots,
      epoch: EPOCH,
      delayMap: delayMap ?? null,
    };
    this.transfers = new KvTransfers(this.parts);
  }

  randomBytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.#random.int(0, 256));
  }

  /** A page whose bytes are all `byte`. */
  pageOf(byte: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.pageBytes).fill(byte);
  }

  /** Bytes of a block's place in a slot, as they are now. */
  place(slotId: number, blockInChunk: number): Uint8Array<ArrayBuffer> {
    const { pageBytes } = this.parts.pages;
    return this.slots[slotId].slice(blockInChunk * pageBytes, (blockInChunk + 1) * pageBytes);
  }

  copyOfSlots(): Uint8Array<ArrayBuffer>[] {
    return this.slots.map((slot) => slot.slice());
  }

  /** Plane by plane. */
  writePage(blockId: number, bytes: Uint8Array<ArrayBuffer>): void {
    let offset = 0;
    for (const { plane, buffer } of this.pool.planes) {
      this.gpu.device.queue.writeBuffer(buffer, blockId * plane.pageBytes, bytes, offset, plane.pageBytes);
      offset += plane.pageBytes;
    }
  }

  /** The page of every block, plane by plane, at this point of the queue. */
  async readPages(): Promise<Uint8Array<ArrayBuffer>[]> {
    const planes = await Promise.all(this.pool.planes.map(({ buffer }) => this.read(buffer)));
    return Array.from({ length: NUM_BLOCKS }, (_, blockId) => {
      const parts = this.pool.planes.map(({ plane: { pageBytes } }, index) =>
        planes[index].subarray(blockId * pageBytes, (blockId + 1) * pageBytes),
      );
      return Uint8Array.from(parts.flatMap((part) => [...part]));
    });
  }

  async read(source: GPUBuffer): Promise<Uint8Array<ArrayBuffer>> {
    const staging = this.buffers.create("readback", source.size, USAGE.MAP_READ | USAGE.COPY_DST);
    const encoder = this.gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, staging, 0, source.size);
    this.gpu.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_MODE_READ);
    const bytes = new Uint8Array(staging.getMappedRange().slice(0));
    this.buffers.destroy(staging);
    return bytes;
  }

  /** Blocks of each job that arrived, stores first. */
  async run(step: Partial<StepTransfers>): Promise<number[]> {
    const results = await Promise.all(this.transfers.submit({ stores: [], loads: [], ...step }));
    return results.map(({ numBlocks }) => numBlocks);
  }

  #slot(slotId: number): Uint8Array<ArrayBuffer> {
    if (this.slots[slotId] === undefined) throw new Error(`there is no slot ${slotId}`);
    return this.slots[slotId];
  }
}

let lastJobId = 0;

export function storeJob(blockIds: readonly number[], slotId: number, fields: Partial<StoreJob> = {}): StoreJob {
  return { jobId: ++lastJobId, epoch: EPOCH, key: `0/${lastJobId}`, blockIds, slotId, ...fields };
}

/** `blocks`: slot, place in its chunk, GPU block. */
export function loadJob(blocks: readonly [number, number, number][], fields: Partial<LoadJob> = {}): LoadJob {
  return {
    jobId: ++lastJobId,
    epoch: EPOCH,
    blocks: blocks.map(([slotId, blockInChunk, blockId]) => ({ slotId, blockInChunk, blockId })),
    ...fields,
  };
}

/** Compares pages or slots, and names those that differ: their bytes would tell nobody anything. */
export function expectSame(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  const differing = expected.flatMap((bytes, index) => (Buffer.compare(bytes, actual[index]) === 0 ? [] : [index]));
  expect({ length: actual.length, differing }).toEqual({ length: expected.length, differing: [] });
}
