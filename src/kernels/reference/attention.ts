export interface AttentionRow {
  /** The query row, [numHeads * headDim], rope applied. */
  readonly q: ArrayLike<number>;
  /** One row a position, [numKvHeads * headDim] each. Only visible positions are read; the others may be missing. */
  readonly k: ArrayLike<ArrayLike<number>>;
  readonly v: ArrayLike<ArrayLike<number>>;
  /** Position of the query: it sees keys j with position - window < j <= position. */
  readonly position: number;
  /** Tokens seen, the query's own included; null sees all. */
  readonly window: number | null;
  readonly numHeads: number;
  /** Head h reads kv head floor(h * numKvHeads / numHeads). */
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Multiplies q·k before softmax. */
  readonly scale: number;
}

/** Softmax attention of one query row, [numHeads * headDim]. */
export function attention(row: AttentionRow): Float64Array {
  const { q, k, v, position, window, numHeads, numKvHeads, headDim, scale } = row;
  const firstKey = window === null ? 0 : Math.max(0, position - window + 1);
  const out = new Float64Array(numHeads * headDim);
  for (let head = 0; head < numHeads; head++) {
    const queryStart = head * headDim;
    const keyStart = Math.floor((head * numKvHeads) / numHeads) * headDim;
    const scores = new Float64Array(position - firstKey + 1);
    for (let i = 0; i < scores.length; i++) {
      const key = k[firstKey + i];
      let dot = 0;
      for (let d = 0; d < headDim; d++) dot += q[queryStart + d] * key[keyStart + d];
      scores[i] = dot * scale;
    }
    const weights = softmax(scores);
    for (let i = 0; i < weights.length; i++) {
      const value = v[firstKey + i];
      for (let d = 0; d < headDim; d++) out[queryStart + d] += weights[i] * value[keyStart + d];
    }
  }
  return out;
}

/** exp(x - max) over their sum. */
export function softmax(scores: ArrayLike<number>): Float64Array {
  let max = -Infinity;
  for (let i = 0; i < scores.length; i++) max = Math.max(max, scores[i]);
  const weights = new Float64Array(scores.length);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) {
    weights[i] = Math.exp(scores[i] - max);
    sum += weights[i];
  }
  for (let i = 0; i < weights.length; i++) weights[i] /= sum;
  return weights;
}
