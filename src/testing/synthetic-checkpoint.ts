import { copyFile, mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Sizes of a Llama checkpoint whose embedding and head are two matrices. */
export interface SyntheticShape {
  readonly numLayers: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly vocabSize: number;
}

export interface SyntheticCheckpoint {
  /** Of model.safetensors, which takes only some blocks of the disk. */
  readonly weightFileBytes: number;
  readonly numParameters: number;
  /** What the model says: after `chain[i]`, whatever came before it, `chain[i + 1]`. */
  readonly chain: readonly number[];
}

const TOKENIZER_DIR = fileURLToPath(new URL("../../public/models/cairn-stories-3M/", import.meta.url));

const MAX_POSITIONS = 2048;
const BF16_ONE = 0x3f80;
const BF16_BYTES = 2;

/**
 * Writes a bf16 checkpoint into `dir` that is as large as asked for and holds next to nothing. Its layers are zeros; a chain
 * of ids leads through the first and last rows of embedding and head, so that what it generates tells where they were put.
 */
export async function writeSyntheticCheckpoint(dir: string, shape: SyntheticShape): Promise<SyntheticCheckpoint> {
  const shapes = tensorShapes(shape);
  const [header, ends] = layOut(shapes);
  const { vocabSize, hiddenSize } = shape;
  const chain = [3, vocabSize - 1, vocabSize >> 1, vocabSize - 2, (vocabSize >> 1) + 1];
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "config.json"), JSON.stringify(configJson(shape)));
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) await copyFile(TOKENIZER_DIR + name, join(dir, name));

  const file = await open(join(dir, "model.safetensors"), "w");
  const weightFileBytes = header.length + ends.total;
  try {
    await file.truncate(weightFileBytes);
    await file.write(header, 0, header.length, 0);
    const writeOnes = (tensor: string, first: number, count: number) => {
      const ones = new Uint8Array(Uint16Array.from({ length: count }, () => BF16_ONE).buffer);
      const begin = header.length + (ends.begins.get(tensor) as number);
      return file.write(ones, 0, ones.length, begin + first * BF16_BYTES);
    };
    await writeOnes("model.norm.weight", 0, hiddenSize);
    for (let link = 0; link + 1 < chain.length; link++) {
      await writeOnes("model.embed_tokens.weight", chain[link] * hiddenSize + link, 1);
      await writeOnes("lm_head.weight", chain[link + 1] * hiddenSize + link, 1);
    }
  } finally {
    await file.close();
  }
  return { weightFileBytes, numParameters: ends.total / BF16_BYTES, chain };
}

function configJson({ numLayers, hiddenSize, intermediateSize, numHeads, numKvHeads, vocabSize }: SyntheticShape) {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    hidden_size: hiddenSize,
    intermediate_size: intermediateSize,
    max_position_embeddings: MAX_POSITIONS,
    num_attention_heads: numHeads,
    num_hidden_layers: numLayers,
    num_key_value_heads: numKvHeads,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    vocab_size: vocabSize,
    bos_token_id: 1,
    eos_token_id: 2,
  };
}

/** The head comes last, so that its rows lie behind everything else. */
function tensorShapes(shape: SyntheticShape): Map<string, readonly number[]> {
  const { numLayers, hiddenSize, intermediateSize, numHeads, numKvHeads, vocabSize } = shape;
  const kvSize = (hiddenSize / numHeads) * numKvHeads;
  const shapes = new Map<string, readonly number[]>([["model.embed_tokens.weight", [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < numLayers; layer++) {
    const add = (name: string, ...dims: number[]) => shapes.set(`model.layers.${layer}.${name}.weight`, dims);
    add("input_layernorm", hiddenSize);
    add("self_attn.q_proj", hiddenSize, hiddenSize);
    add("self_attn.k_proj", kvSize, hiddenSize);
    add("self_attn.v_proj", kvSize, hiddenSize);
    add("self_attn.o_proj", hiddenSize, hiddenSize);
    add("post_attention_layernorm", hiddenSize);
    add("mlp.gate_proj", intermediateSize, hiddenSize);
    add("mlp.up_proj", intermediateSize, hiddenSize);
    add("mlp.down_proj", hiddenSize, intermediateSize);
  }
  shapes.set("model.norm.weight", [hiddenSize]);
  return shapes.set("lm_head.weight", [vocabSize, hiddenSize]);
}

/** The file up to its first tensor, and where each tensor begins behind it. */
function layOut(shapes: ReadonlyMap<string, readonly number[]>) {
  const begins = new Map<string, number>();
  const entries: Record<string, object> = {};
  let total = 0;
  for (const [name, shape] of shapes) {
    begins.set(name, total);
    const end = total + BF16_BYTES * shape.reduce((product, dim) => product * dim, 1);
    entries[name] = { dtype: "BF16", shape, data_offsets: [total, end] };
    total = end;
  }
  const json = JSON.stringify(entries);
  const header = new Uint8Array(8 + 8 * Math.ceil(json.length / 8)).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  new TextEncoder().encodeInto(json, header.subarray(8));
  return [header, { begins, total }] as const;
}
