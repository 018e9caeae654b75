import type { Buffers } from "../gpu/buffers";
import type { Grid } from "../gpu/kernel";
import type { PipelineCache } from "../gpu/pipeline-cache";
import {
  type Int8PlaneParams,
  kvDecode,
  kvDecodeGrid,
  kvEncode,
  kvEncodeGrid,
  kvInt8Variant,
  packInt8PlaneParams,
} from "../kernels/kv-int8";
import type { KvGeometry } from "../kv/geometry";
import { offloadedPageBytes } from "../kv/offload-encoding";
import type { KvPool } from "./kv-planes";
import type { PageCodec, PageCopies } from "./page-codec";
import { makeStage, type Stage } from "./stage";

interface PlaneStages {
  readonly params: Int8PlaneParams;
  readonly encode: Stage;
  readonly decode: Stage;
}

export interface Int8PagesParts {
  readonly device: GPUDevice;
  readonly buffers: Buffers;
  readonly pipelines: PipelineCache;
  readonly pool: KvPool;
  readonly geometry: KvGeometry;
  /** Chunks that are encoded in one submit at most, and decoded in one dispatch. */
  readonly numStagingSlots: number;
}

/**
 * Pages as int8, encoded and decoded on the GPU; see kv/offload-encoding.ts. Both go through one buffer, which holds an encoded
 * chunk for each staging slot: it is copied from in the submit that fills it, and what is written to it is read by the next
 * submit, so the queue keeps them apart.
 */
export class Int8Pages implements PageCodec {
  readonly pageBytes: number;
  readonly #device: GPUDevice;
  readonly #planes: readonly PlaneStages[];
  readonly #encoded: GPUBuffer;
  /** Of the pages in `#encoded`, by their places. */
  readonly #blockIds: GPUBuffer;
  readonly #maxBlocks: number;
  /** Of what was written and is not in its page yet. */
  #written: number[] = [];

  static async create(parts: Int8PagesParts): Promise<Int8Pages> {
    const { buffers, pipelines, pool, geometry } = parts;
    const { headDim, dtype, numKvHeads, blockSize, numLayerSlots } = geometry;
    const maxBlocks = parts.numStagingSlots * geometry.blocksPerChunk;
    const encoded = buffers.storage("kv.staging.encoded", maxBlocks * offloadedPageBytes(geometry, "int8"));
    const blockIds = buffers.storage("kv.encode.block_ids", maxBlocks * 4);
    const slotVectors = 2 * numKvHeads * blockSize;
    const planes = pool.planes.map(async ({ plane, buffer }) => {
      const params: Int8PlaneParams = {
        headDim,
        kvType: dtype,
        pageVectors: numLayerSlots * slotVectors,
        planeVectors: plane.numLayerSlots * slotVectors,
        firstVector: plane.firstLayerSlot * slotVectors,
      };
      const uniform = buffers.uniform("kv.encode.params", packInt8PlaneParams(params));
      const bound = { params: uniform, block_ids: blockIds, kv: buffer, encoded };
      const [encode, decode] = await Promise.all([
        makeStage(pipelines, kvEncode, kvInt8Variant, bound),
        makeStage(pipelines, kvDecode, kvInt8Variant, bound),
      ]);
      return { params, encode, decode };
    });
    return new Int8Pages(parts, await Promise.all(planes), encoded, blockIds, maxBlocks);
  }

  private constructor(
    { device, geometry }: Int8PagesParts,
    planes: readonly PlaneStages[],
    encoded: GPUBuffer,
    blockIds: GPUBuffer,
    maxBlocks: number,
  ) {
    this.#device = device;
    this.#planes = planes;
    this.#encoded = encoded;
    this.#blockIds = blockIds;
    this.#maxBlocks = maxBlocks;
    this.pageBytes = offloadedPageBytes(geometry, "int8");
  }

  copyOut(encoder: GPUCommandEncoder, copies: readonly PageCopies[]): void {
    const blockIds = copies.flatMap((copy) => copy.blockIds);
    this.#dispatch(encoder, "kv.encode", blockIds, ({ params, encode }) => [
      encode,
      kvEncodeGrid(params, blockIds.length),
    ]);
    let offset = 0;
    for (const copy of copies) {
      const numBytes = copy.blockIds.length * this.pageBytes;
      encoder.copyBufferToBuffer(this.#encoded, offset, copy.target, 0, numBytes);
      offset += numBytes;
    }
  }

  write(blockId: number, chunk: Uint8Array<ArrayBuffer>, offset: number): void {
    if (this.#written.length === this.#maxBlocks) this.flush();
    const { queue } = this.#device;
    queue.writeBuffer(this.#encoded, this.#written.length * this.pageBytes, chunk, offset, this.pageBytes);
    this.#written.push(blockId);
  }

  flush(): void {
    const blockIds = this.#written;
    if (blockIds.length === 0) return;
    this.#written = [];
    const encoder = this.#device.createCommandEncoder({ label: "kv.loads" });
    this.#dispatch(encoder, "kv.decode", blockIds, ({ params, decode }) => [
      decode,
      kvDecodeGrid(params, blockIds.length),
    ]);
    this.#device.queue.submit([encoder.finish()]);
  }

  /** Plane by plane; what is encoded must be submitted before the next call. */
  #dispatch(
    encoder: GPUCommandEncoder,
    label: string,
    blockIds: readonly number[],
    stageOf: (plane: PlaneStages) => [Stage, Grid],
  ): void {
    this.#device.queue.writeBuffer(this.#blockIds, 0, Uint32Array.from(blockIds));
    const pass = encoder.beginComputePass({ label });
    for (const plane of this.#planes) {
      const [{ pipeline, bindGroup }, grid] = stageOf(plane);
      pass.setPipeline(pipeline.pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...grid);
    }
    pass.end();
  }
}
