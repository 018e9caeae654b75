import type { Buffers } from "../../gpu/buffers";
import { logitsStride } from "../../models/scratch";
import { NEUTRAL_SAMPLING, type SamplingParams } from "../../sampling/sampling-params";
import type { SchedulerOutput } from "../../scheduler/scheduler-output";
import { GpuModelRunner, type GpuModelRunnerParts } from "../gpu-model-runner";
import { allocateStepState } from "../step-state";
import type { Noise } from "./test-data";

/** No multiple of a workgroup's threads. */
const VOCAB_SIZE = 1003;
const GREEDY: SamplingParams = { ...NEUTRAL_SAMPLING, temperature: 0, seed: [1, 0] };

interface Draw {
  readonly sampling: Partial<SamplingParams>;
  /** Logits that differ from those of the crowd, which lie between -1 and 1. */
  readonly logits: Readonly<Record<number, number>>;
  /** The only id that these settings allow; null where the logits are not fit to be drawn from. */
  readonly expected: number | null;
}

const HOT = { temperature: 1 };
const DRAWS: readonly Draw[] = [
  { sampling: {}, logits: { 517: 9, 801: 9, 1002: 8 }, expected: 517 },
  // The random number of this seed and the position after this row's token is 0.83.
  { sampling: { ...HOT, topK: 2 }, logits: { 3: 5, 900: 5 }, expected: 900 },
  { sampling: { ...HOT, topK: 1 }, logits: { 131: 3, 640: 3 }, expected: 131 },
  { sampling: { ...HOT, topP: 0.5 }, logits: { 1002: 12 }, expected: 1002 },
  { sampling: { ...HOT, minP: 0.5 }, logits: { 0: 4 }, expected: 0 },
  { sampling: {}, logits: { 77: Number.NaN }, expected: null },
];

/** Sampling by a runner without a forward pass. Resolves with the share of draws that went wrong. */
export async function checkSampling(
  parts: Pick<GpuModelRunnerParts, "gpu" | "buffers" | "pipelines" | "variant" | "sizes">,
  noise: Noise,
): Promise<number> {
  const { buffers, sizes } = parts;
  const runner = await GpuModelRunner.create({
    ...parts,
    state: await allocateStepState(buffers, sizes, VOCAB_SIZE),
    stages: [],
    logits: makeLogits(buffers, noise),
    vocabSize: VOCAB_SIZE,
    submitTargetMs: 1000,
    maxInFlightSteps: 1,
    transfers: null,
    profiler: null,
    drawStep: null,
    loadLogitStages: null,
    observeLogits: null,
    observeSteps: null,
  });
  const { sampled } = await runner.submit(makeStep()).landed;
  const wrong = DRAWS.filter(({ expected }, i) => (sampled[i].finite ? sampled[i].tokenId : null) !== expected);
  return wrong.length / DRAWS.length;
}

function makeLogits(buffers: Buffers, noise: Noise): GPUBuffer {
  const stride = logitsStride(VOCAB_SIZE);
  const logits = noise.rows(DRAWS.length, stride).data;
  DRAWS.forEach((draw, row) => {
    for (const [id, logit] of Object.entries(draw.logits)) logits[row * stride + Number(id)] = logit;
  });
  return buffers.constant("self_test", logits);
}

function makeStep(): SchedulerOutput {
  const requestIds = DRAWS.map((_, row) => String(row));
  return {
    stepIndex: 0,
    newRows: DRAWS.map(({ sampling }, row) => ({
      requestId: requestIds[row],
      row,
      sampling: { ...GREEDY, ...sampling },
      history: null,
    })),
    scheduled: requestIds.map((requestId, row) => ({
      requestId,
      row,
      startPosition: row,
      numTokens: 1,
      tokens: { kind: "ids", ids: [0] },
      blockTableUpdates: [],
      samples: true,
    })),
    numTokens: DRAWS.length,
    transfers: { stores: [], loads: [] },
  };
}
