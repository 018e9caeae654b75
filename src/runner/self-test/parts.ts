import { Buffers } from "../../gpu/buffers";
import { Encoder } from "../../gpu/encoder";
import { buildAttention, buildRopeKvWrite } from "../../models/layers/attention";
import { buildEmbedding } from "../../models/layers/embedding";
import { buildGemm, buildGemv } from "../../models/layers/linear";
import { buildNorm } from "../../models/layers/norm";
import { inverseFrequencies, ropeTable } from "../../models/rope-table";
import { allocateScratch } from "../../models/scratch";
import { CairnError } from "../../util/errors";
import { GpuModelRunner } from "../gpu-model-runner";
import { packStep, stepBufferSizes } from "../step-buffer";
import { allocateStepState } from "../step-state";

/**
 * All that the self-test uses of the worker, besides types and trifles. It may be loaded as a script of its own, which has none
 * of this in it: the worker hands it over.
 */
export const PARTS = {
  Buffers,
  CairnError,
  Encoder,
  GpuModelRunner,
  allocateScratch,
  allocateStepState,
  buildAttention,
  buildEmbedding,
  buildGemm,
  buildGemv,
  buildNorm,
  buildRopeKvWrite,
  inverseFrequencies,
  packStep,
  ropeTable,
  stepBufferSizes,
};
