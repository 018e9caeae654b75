import { Buffers, MAP_MODE_READ, USAGE } from "../../gpu/buffers";
import type { GpuDevice } from "../../gpu/device";
import { Encoder } from "../../gpu/encoder";
import type { KvGeometry } from "../../kv/geometry";
import type { LayerContext } from "../../models/build-context";
import type { ModelConfig } from "../../models/config";
import { allocateScratch } from "../../models/scratch";
import type { WeightPlan } from "../../models/weight-plan";
import type { GpuModelRunnerParts } from "../gpu-model-runner";
import { packStep, type StepBatch, type StepBufferSizes, stepBufferSizes } from "../step-buffer";
import { checkAttention } from "./attention-checks";
import {
  type Bench,
  CHUNK,
  type Check,
  DECODE_POSITIONS,
  type Matrices,
  NUM_POSITIONS,
  type TestStep,
  WINDOW,
} from "./bench";
import { CHUNK_IDS, checkEmbedding, checkMatmuls, checkNorms, LAST_IDS } from "./matrix-checks";
import { checkSampling } from "./sampling-check";
import { Noise } from "./test-data";

/** What an engine will run on: its device, and the model as far as kernels are made for it. */
export interface SelfTestSubject extends Pick<LayerContext, "variant" | "pipelines" | "gemvUpToTokens" | "fusedNorm"> {
  readonly gpu: GpuDevice;
  readonly config: ModelConfig;
  readonly plan: WeightPlan;
  readonly matrices: Matrices;
  readonly geometry: KvGeometry;
}

export interface WrongKernel {
  readonly kernel: string;
  /** max |error| / max |value|, NaN where a result is none; of the sampler: the share of wrong draws. */
  readonly error: number;
}

/** Twice what f16 storage may cost (docs/architecture.md, "What is rounded"); faults are far larger. */
const TOLERANCE = 1e-2;

/**
 * Runs each kernel of the model's forward pass, and sampling, on small inputs whose results are known, with the very
 * pipelines that the engine will use. Null where all are right, else the one that is most wrong.
 * Errors: what compiling and the device throw.
 */
export async function findWrongKernel(subject: SelfTestSubject): Promise<WrongKernel | null> {
  const buffers = new Buffers(subject.gpu.device);
  try {
    const { bench, sizes } = await makeBench(subject, buffers);
    const made = await Promise.all([
      checkEmbedding(bench),
      ...checkNorms(bench),
      ...checkMatmuls(bench),
      checkAttention(bench),
    ]);
    const results = await runChecks(subject.gpu.device, buffers, made.flat());
    const sampler: Parts = { ...subject, buffers, sizes };
    results.push({ kernel: "sample", error: await checkSampling(sampler, bench.noise) });
    subject.gpu.health.throwIfFailed();
    const wrong = results.filter(({ error }) => !(error <= TOLERANCE));
    return wrong.find(({ error }) => Number.isNaN(error)) ?? wrong.sort((a, b) => b.error - a.error)[0] ?? null;
  } finally {
    buffers.destroyAll();
  }
}

type Parts = Pick<GpuModelRunnerParts, "gpu" | "buffers" | "pipelines" | "variant" | "sizes">;

async function makeBench(
  subject: SelfTestSubject,
  buffers: Buffers,
): Promise<{ bench: Bench; sizes: StepBufferSizes }> {
  const { plan, matrices, geometry, gemvUpToTokens } = subject;
  const noise = new Noise();
  const layer = { kind: "full", window: null, rope: 0 } as const;
  const layers = [layer, { ...layer, kind: "sliding", window: WINDOW } as const];
  const config: ModelConfig = { ...subject.config, vocabSize: 8, layers };
  const maxRows = DECODE_POSITIONS.length + 1;
  const maxima = { maxTokens: NUM_POSITIONS, maxRows, maxModelLen: NUM_POSITIONS };
  const sizes = stepBufferSizes(config, { ...geometry, groups: [geometry.groups[0]] }, maxima, gemvUpToTokens);
  const norms = noise.rows(1, Math.max(config.hiddenSize, config.headDim)).data;
  const normBuffer = buffers.constant("self_test", norms);
  const kvLayer = makeKvLayer(geometry, buffers, sizes);
  const context: Omit<LayerContext, "step"> = {
    ...subject,
    config,
    kvType: geometry.dtype,
    buffers,
    weights: { norms: normBuffer, normOffset: () => 0 },
    scratch: await allocateScratch(buffers, config, maxima),
    kvLayers: layers.map(() => kvLayer),
    lastIds: buffers.constant("self_test", Uint32Array.from([0, ...LAST_IDS])),
    blockTables: buffers.constant("self_test", blockTables(sizes)),
    maxModelLen: NUM_POSITIONS,
  };
  const step = (scheduled: StepBatch["scheduled"]): TestStep => {
    const { words, shape } = packStep({ scheduled }, sizes);
    return { context: { ...context, step: buffers.constant("self_test", words) }, shape };
  };
  const common = { requestId: "", row: 0, blockTableUpdates: [], samples: true };
  const ids = Array<number>(NUM_POSITIONS).fill(0);
  const prefill = step([{ ...common, startPosition: 0, numTokens: NUM_POSITIONS, tokens: { kind: "ids", ids } }]);
  const mixed = step([
    ...DECODE_POSITIONS.map((startPosition, i) => {
      return { ...common, row: i + 1, startPosition, numTokens: 1, tokens: { kind: "last-sampled" } } as const;
    }),
    {
      ...common,
      startPosition: CHUNK.firstPosition,
      numTokens: CHUNK.numTokens,
      tokens: { kind: "ids", ids: CHUNK_IDS },
      samples: false,
    },
  ]);
  return { bench: { plan, matrices, noise, norms, prefill, mixed }, sizes };
}

/** A few blocks that hold NaN, so that what nobody wrote is seen where it is used. */
function makeKvLayer({ layerSlotBytes, numKvHeads, dtype }: KvGeometry, buffers: Buffers, sizes: StepBufferSizes) {
  const bytes = (sizes.maxBlocksPerRow + 2) * layerSlotBytes;
  const plane = buffers.constant("self_test", new Uint32Array(bytes / 4).fill(0xffffffff));
  const pageElements = layerSlotBytes / (dtype === "f16" ? 2 : 4);
  const params = { tableOffset: 0, tableStride: sizes.maxBlocksPerRow, pageElements, slotOffset: 0, numKvHeads };
  return { params, plane };
}

/** Every row sees the same blocks, which do not lie in order. */
function blockTables({ maxRows, maxBlocksPerRow }: StepBufferSizes): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: maxRows * maxBlocksPerRow }, (_, i) => maxBlocksPerRow - (i % maxBlocksPerRow));
}

async function runChecks(device: GPUDevice, buffers: Buffers, checks: readonly Check[]): Promise<WrongKernel[]> {
  const encoder = new Encoder(device, null);
  for (const { op, shape } of checks) op(encoder, shape);
  const readbacks = checks.map(({ output }) => {
    const readback = buffers.create("self_test", output.size, USAGE.MAP_READ | USAGE.COPY_DST);
    encoder.copy(output, readback, output.size);
    return readback;
  });
  encoder.submit();
  await Promise.all(readbacks.map((readback) => readback.mapAsync(MAP_MODE_READ)));
  return checks.map(({ kernel, expected }, i) => ({
    kernel,
    error: relativeError(new Float32Array(readbacks[i].getMappedRange()), expected),
  }));
}

function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = 0;
  let greatest = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Number.isNaN(expected[i])) continue;
    worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
    greatest = Math.max(greatest, Math.abs(expected[i]));
  }
  return worst / greatest;
}
