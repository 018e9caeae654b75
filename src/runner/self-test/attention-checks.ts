import { buildAttention, buildRopeKvWrite } from "../../models/layers/attention";
import { inverseFrequencies, ropeTable } from "../../models/rope-table";
import { type Bench, CHUNK, type Check, DECODE_POSITIONS, NUM_POSITIONS, WINDOW } from "./bench";
import { attend, rmsNorm, rotate, type Vector } from "./reference";

/** The rope kernel writes the KV of all positions, which attention then reads, without a window and with one. */
export async function checkAttention(bench: Bench): Promise<Check[]> {
  const { noise, norms, prefill, mixed, plan } = bench;
  const { config, buffers, scratch } = prefill.context;
  const { numHeads, numKvHeads, headDim, ropes, rmsNormEps } = config;
  const qkv = noise.rows(NUM_POSITIONS, (numHeads + 2 * numKvHeads) * headDim);
  const frequencies = inverseFrequencies(ropes[0], headDim);
  const rope = buffers.constant("self_test", ropeTable(ropes[0], headDim, NUM_POSITIONS));
  const head = (position: number, index: number): Vector =>
    qkv.at(position).subarray(index * headDim, (index + 1) * headDim);
  const turned = (position: number, index: number): number[] => {
    const x = head(position, index);
    return rotate(config.qkNorm ? rmsNorm(x, norms, rmsNormEps) : x, position, frequencies);
  };
  const positions = Array.from({ length: NUM_POSITIONS }, (_, position) => position);
  const heads = Array.from({ length: numHeads }, (_, index) => index);

  const context = { ...prefill.context, scratch: { ...scratch, qkv: buffers.constant("self_test", qkv.data) } };
  const written: Check = {
    kernel: "rope_kv_write",
    op: await buildRopeKvWrite(context, 0, plan.layers[0], rope),
    shape: prefill.shape,
    output: scratch.query,
    expected: positions.flatMap((position) =>
      heads.flatMap((index) => turned(position, index).map((value) => value * config.attentionScale)),
    ),
  };

  const keys = kvHeads((position, index) => turned(position, numHeads + index));
  const values = kvHeads((position, index) => head(position, numHeads + numKvHeads + index));
  function kvHeads(of: (position: number, index: number) => Vector): Vector[][] {
    return Array.from({ length: numKvHeads }, (_, index) => positions.map((position) => of(position, index)));
  }
  const chunk = Array.from({ length: CHUNK.numTokens }, (_, i) => CHUNK.firstPosition + i);
  const queries = noise.rows(DECODE_POSITIONS.length + chunk.length, numHeads * headDim);
  for (let i = 0; i < queries.data.length; i++) queries.data[i] *= 2 / Math.sqrt(headDim);
  const query = buffers.constant("self_test", queries.data);
  /** What tokens from `firstToken` on see at their positions. */
  const seen = (tokens: readonly number[], firstToken: number, window: number): number[] =>
    tokens.flatMap((position, t) =>
      heads.flatMap((index) => {
        const kvHead = Math.floor((index * numKvHeads) / numHeads);
        const q = queries.at(firstToken + t).subarray(index * headDim, (index + 1) * headDim);
        return attend(q, keys[kvHead], values[kvHead], Math.max(0, position + 1 - window), position);
      }),
    );
  const read = [NUM_POSITIONS, WINDOW].map(async (window, layer): Promise<Check[]> => {
    const output = buffers.storage("self_test", queries.data.byteLength);
    const scratchOfLayer = { ...mixed.context.scratch, query, attention: output };
    const op = await buildAttention({ ...mixed.context, scratch: scratchOfLayer }, layer);
    const { shape } = mixed;
    const decoded = seen(DECODE_POSITIONS, 0, window);
    const chunked = [...decoded.map(() => Number.NaN), ...seen(chunk, DECODE_POSITIONS.length, window)];
    return [
      { kernel: "attention_decode", op, shape, output, expected: decoded },
      { kernel: "attention_prefill", op: () => {}, shape, output, expected: chunked },
    ];
  });
  return [written, ...(await Promise.all(read)).flat()];
}
