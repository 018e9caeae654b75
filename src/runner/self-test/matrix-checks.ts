import type { Prologue } from "../../kernels/gemv";
import type { Epilogue } from "../../kernels/linear";
import { buildEmbedding } from "../../models/layers/embedding";
import { buildGemm, buildGemv, type LinearOptions } from "../../models/layers/linear";
import { buildNorm } from "../../models/layers/norm";
import type { LinearPlan } from "../../models/weight-plan";
import { type Bench, CHUNK, type Check, DECODE_POSITIONS, padRows, type TestStep } from "./bench";
import { add, dot, gated, rmsNorm, type Vector } from "./reference";
import { makeLinear, type Rows } from "./test-data";

const NUM_EMBEDDINGS = 7;
/** More rows than a thread has, and no whole number of tiles. */
const NUM_ROWS = 36;
/** What the rows of the mixed step sampled last, and the ids of its chunk. */
export const LAST_IDS = DECODE_POSITIONS.map((position) => position % NUM_EMBEDDINGS);
export const CHUNK_IDS = Array.from({ length: CHUNK.numTokens }, (_, i) => i % NUM_EMBEDDINGS);

export async function checkEmbedding({ plan, matrices, noise, mixed }: Bench): Promise<Check> {
  const { context, shape } = mixed;
  const { width } = plan.embedding;
  const { linear, weights } = makeLinear(
    context.buffers,
    noise,
    matrices.linear(plan.embedding),
    width,
    NUM_EMBEDDINGS,
  );
  const rows = [...LAST_IDS, ...CHUNK_IDS].map((id) =>
    Array.from(weights.at(id), (weight) => weight * context.config.embeddingScale),
  );
  const residual = context.buffers.storage("self_test", shape.numTokens * width * 8);
  const op = await buildEmbedding({ ...context, scratch: { ...context.scratch, residual } }, linear);
  return { kernel: "embed", op, shape, output: residual, expected: padRows(rows) };
}

/** The norms that stand alone: before a matmul, and before the head, where only rows that sample are read. */
export function checkNorms(bench: Bench): Promise<Check>[] {
  const { postNorms } = bench.mixed.context.config;
  const posts = [...new Set([false, postNorms])];
  return [...posts.map((post) => checkNorm(bench, post, false)), checkNorm(bench, postNorms, true)];
}

async function checkNorm({ noise, norms, mixed }: Bench, post: boolean, gather: boolean): Promise<Check> {
  const { context, shape } = mixed;
  const { buffers, config } = context;
  const x = noise.rows(shape.numTokens, config.hiddenSize);
  const y = noise.rows(shape.numTokens, config.hiddenSize);
  const residual = buffers.constant("self_test", x.data);
  const branch = buffers.constant("self_test", y.data);
  const normed = buffers.storage("self_test", x.data.byteLength);
  const op = await buildNorm(
    { ...context, scratch: { ...context.scratch, branch, normed } },
    { label: "self_test", residual, normOffset: 0, postOffset: post ? 0 : null, part: "tokens", gather },
  );
  const numRows = gather ? shape.numLogitRows : shape.numTokens;
  const prologue = post ? "post-norm" : "norm";
  const rows = Array.from({ length: numRows }, (_, t) => inputOf(prologue, x.at(t), y.at(t), norms, config.rmsNormEps));
  return { kernel: "rms_norm", op, shape, output: normed, expected: padRows(rows) };
}

/** A matmul of the model: its weights' type and width, and what is done before and after. */
interface Use {
  readonly plan: LinearPlan;
  readonly prologue: Prologue;
  readonly epilogue: Epilogue;
  readonly boundedInput: boolean;
}

function usesOf({ plan, mixed }: Bench): Use[] {
  const { config, fusedNorm } = mixed.context;
  const norm = fusedNorm ? "norm" : "none";
  const nextNorm = fusedNorm && config.postNorms ? "post-norm" : norm;
  const store = { kind: "store" } as const;
  const branch = config.postNorms ? store : ({ kind: "add" } as const);
  const gate = { kind: "gate", activation: config.activation } as const;
  const layers = plan.layers.flatMap((layer, i): Use[] => [
    { plan: layer.qkv, prologue: i === 0 ? norm : nextNorm, epilogue: store, boundedInput: true },
    { plan: layer.output, prologue: "none", epilogue: branch, boundedInput: true },
    { plan: layer.gateUp, prologue: nextNorm, epilogue: gate, boundedInput: true },
    { plan: layer.down, prologue: "none", epilogue: branch, boundedInput: false },
  ]);
  return [...layers, { plan: plan.head, prologue: "none", epilogue: store, boundedInput: true }];
}

/** GEMV for one token and for several, and GEMM, in every form that some matmul of the model has. */
export function checkMatmuls(bench: Bench): Promise<Check>[] {
  const checks = new Map<string, () => Promise<Check>>();
  for (const use of usesOf(bench)) {
    const { type } = bench.matrices.linear(use.plan);
    const { width } = use.plan;
    for (const step of [bench.prefill, bench.mixed]) {
      if (step.shape.numLogitRows > step.context.gemvUpToTokens) continue;
      const key = `gemv ${type} ${width} ${use.prologue} ${step.shape.numLogitRows}`;
      checks.set(key, () => checkMatmul(bench, use, step, "gemv"));
    }
    checks.set(`gemm ${type} ${use.boundedInput}`, () => checkMatmul(bench, use, bench.prefill, "gemm"));
  }
  return [...checks.values()].map((check) => check());
}

async function checkMatmul(bench: Bench, use: Use, step: TestStep, kernel: "gemv" | "gemm"): Promise<Check> {
  const { noise, norms, matrices } = bench;
  const { context, shape } = step;
  const { buffers, config } = context;
  const { plan, epilogue } = use;
  const prologue = kernel === "gemv" ? use.prologue : "none";
  const numTokens = kernel === "gemv" ? shape.numLogitRows : shape.numTokens;
  const { linear, weights } = makeLinear(buffers, noise, matrices.linear(plan), plan.width, NUM_ROWS);
  const x = noise.rows(shape.numTokens, plan.width);
  const y = noise.rows(shape.numTokens, plan.width);
  const before = noise.rows(shape.numTokens, NUM_ROWS);
  const options: LinearOptions = {
    linear,
    input: buffers.constant("self_test", x.data),
    output: buffers.constant("self_test", before.data),
    outStride: before.stride,
    rows: kernel === "gemv" ? "logit-rows" : "tokens",
    epilogue,
    boundedInput: use.boundedInput,
  };
  const branch = buffers.constant("self_test", y.data);
  const nextResidual = buffers.storage("self_test", x.data.byteLength);
  const post = prologue === "post-norm" ? { offset: 0, branch, nextResidual } : null;
  const op = await (kernel === "gemm"
    ? buildGemm(context, options)
    : buildGemv(context, options, prologue === "none" ? null : { normOffset: 0, post }));
  const rows = Array.from({ length: numTokens }, (_, t) =>
    // Every third row of a long step tells as much as all of them.
    numTokens > 8 && t % 3 > 0
      ? Array<number>(NUM_ROWS).fill(Number.NaN)
      : outputOf(epilogue, inputOf(prologue, x.at(t), y.at(t), norms, config.rmsNormEps), weights, before.at(t)),
  );
  return { kernel, op, shape, output: options.output, expected: padRows(rows) };
}

function inputOf(prologue: Prologue, x: Vector, y: Vector, norms: Vector, eps: number): Vector {
  if (prologue === "none") return x;
  return rmsNorm(prologue === "norm" ? x : add(x, rmsNorm(y, norms, eps)), norms, eps);
}

/** A row of a matmul's output; `before` is what stood there. */
function outputOf(epilogue: Epilogue, input: Vector, weights: Rows, before: Vector): Vector {
  const sum = (row: number) => dot(weights.at(row), input);
  return Array.from(before, (value, row) => {
    if (epilogue.kind !== "gate") return sum(row) + (epilogue.kind === "add" ? value : 0);
    return row < NUM_ROWS / 2 ? gated(epilogue.activation, sum(2 * row), sum(2 * row + 1)) : value;
  });
}
