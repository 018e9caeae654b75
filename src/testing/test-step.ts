import { type PackedStep, packStep, type StepBufferSizes } from "../runner/step-buffer";
import type { ScheduledRequest } from "../scheduler/scheduler-output";
import type { KernelTestContext } from "./kernel-case";

/** What a test says about a scheduled request; what it leaves out is its index as row, position 0, ids from 0 on, no sampling. */
export interface TestRequest extends Partial<Omit<ScheduledRequest, "requestId">> {
  readonly numTokens: number;
}

/** As an id, a position, a row, a block: all are there. */
const STALE_WORD = 3;

export const TEST_STEP_SIZES: StepBufferSizes = {
  maxTokens: 4096,
  maxRows: 8,
  maxBlocksPerRow: 8192,
  numGroups: 2,
  prefillTileTokens: 32,
  gemvUpToTokens: 8,
};

/** The step buffer of a batch, packed as the engine packs it. */
export function testStep(requests: readonly TestRequest[], sizes: StepBufferSizes = TEST_STEP_SIZES): PackedStep {
  const scheduled = requests.map((request, index) => ({
    requestId: `request-${index}`,
    row: index,
    startPosition: 0,
    tokens: { kind: "ids", ids: Array.from({ length: request.numTokens }, (_, i) => i) } as const,
    blockTableUpdates: [],
    samples: false,
    ...request,
  }));
  return packStep({ scheduled }, sizes);
}

/**
 * The step buffer on the GPU. Its spare capacity holds entries that could be tokens or updates, left over from a longer
 * step: a kernel that takes one too many writes where it must not.
 */
export function uploadStep(ctx: KernelTestContext, { words }: PackedStep): GPUBuffer {
  const padded = new Uint32Array(words.length + 64).fill(STALE_WORD);
  padded.set(words);
  return ctx.upload("step", padded);
}
