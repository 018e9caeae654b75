import { embed, embedGrid, embedVariant, packEmbedParams } from "../../kernels/embed";
import type { LayerContext } from "../build-context";
import type { Op } from "../step-shape";
import type { Linear } from "../weights";

/** scratch.residual = scale * embedding[ids of the step's tokens]; a dispatch for each slice of the table. */
export async function buildEmbedding(context: LayerContext, embedding: Linear): Promise<Op> {
  const pipeline = await context.pipelines.get(embed, embedVariant(embedding.weightModules, embedding.width));
  const slices = embedding.slices.map((slice) => {
    const params = packEmbedParams(slice.firstRow, slice.numRows, context.config.embeddingScale);
    return pipeline.bind("embed", {
      params: context.buffers.uniform("embed.params", params),
      step: context.step,
      last_ids: context.lastIds,
      weights: slice.buffer,
      x: context.scratch.residual,
    });
  });
  return (encoder, step) => {
    for (const bindGroup of slices) encoder.dispatch(pipeline, bindGroup, embedGrid(step.numTokens));
  };
}
