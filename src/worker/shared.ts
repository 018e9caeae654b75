import { Buffers } from "../gpu/buffers";
import { Encoder } from "../gpu/encoder";
import { gridModule } from "../kernels/modules";
import { inStore, StoreError } from "../loader/cache/model-store";
import { buildAttention, buildRopeKvWrite } from "../models/layers/attention";
import { buildEmbedding } from "../models/layers/embedding";
import { buildGemm, buildGemv } from "../models/layers/linear";
import { buildNorm } from "../models/layers/norm";
import { inverseFrequencies, ropeTable } from "../models/rope-table";
import { allocateScratch } from "../models/scratch";
import { GpuModelRunner } from "../runner/gpu-model-runner";
import { packStep, stepBufferSizes } from "../runner/step-buffer";
import { allocateStepState } from "../runner/step-state";
import { CairnError } from "../util/errors";
import { bytesToHex, Sha256 } from "../util/sha256";

/**
 * What the worker hands to its lazy parts, each a script of its own: where a part imports one of these, it gets it from here
 * (scripts/worker-source-plugin.ts), so that nothing is there twice. Trifles are cheaper in the part as well.
 */
export const SHARED = {
  Buffers,
  CairnError,
  Encoder,
  GpuModelRunner,
  Sha256,
  StoreError,
  allocateScratch,
  allocateStepState,
  buildAttention,
  buildEmbedding,
  buildGemm,
  buildGemv,
  buildNorm,
  buildRopeKvWrite,
  bytesToHex,
  gridModule,
  inStore,
  inverseFrequencies,
  packStep,
  ropeTable,
  stepBufferSizes,
};
