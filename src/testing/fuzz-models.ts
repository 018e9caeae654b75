import { existsSync, readdirSync } from "node:fs";
import { hasSharedModels, readSharedText, readTokenizerFiles, TOKENIZER_DIRS } from "../tokenizer/test-tokenizers";
import { readDemoModel, readModelDir } from "./demo-model";
import { makeTinyGemma, tinyGemmaFiles } from "./tiny-gemma";

type Json = Readonly<Record<string, unknown>>;
export type Folder = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** Small whole models: made from nothing, and stories260K where it is there. */
export function fuzzFolders(): Folder[] {
  const { "tokenizer.json": tokenizer, "tokenizer_config.json": config } = readDemoModel();
  const tiny = new Map(
    tinyGemmaFiles(makeTinyGemma({ seed: 1, residualScale: 1 })).map(({ name, bytes }) => [name, bytes]),
  );
  const embedded = encode(trimmed(JSON.parse(new TextDecoder().decode(tokenizer)) as Json));
  const folders: Folder[] = [
    new Map([
      ...tiny,
      ["generation_config.json", encode({ do_sample: true, top_k: 50, temperature: 0.8, eos_token_id: [1, 5] })],
    ])
      .set("tokenizer.json", embedded)
      .set("tokenizer_config.json", config),
  ];
  const stories = TOKENIZER_DIRS.get("stories260K");
  if (stories && existsSync(stories)) folders.push(new Map(Object.entries(readModelDir(stories))));
  return folders;
}

/** A tokenizer.json with the start of its vocabulary: small enough to be read thousands of times, with all its rules. */
function trimmed(tokenizer: Json): Json {
  const model = tokenizer.model as Json & { vocab: Record<string, number>; merges: unknown[] };
  const vocab = Object.fromEntries(Object.entries(model.vocab).slice(0, 300));
  return { ...tokenizer, model: { ...model, vocab, merges: model.merges.slice(0, 40) } };
}

/** Tokenizers of all kinds: those of known models, and one for each kind of rule that none of them has. */
export function fuzzTokenizers(): { readonly json: Json; readonly config: Json }[] {
  const names = ["embedded", "stories260K", "gpt2", "qwen2", "phi-3-mini"].filter((name) => TOKENIZER_DIRS.has(name));
  const known = names.map((name) => {
    const { json, config } = readTokenizerFiles(name);
    return { json: trimmed(json), config: config ?? {} };
  });
  return [...known, ...RARE_RULES.map((rules) => ({ json: { ...known[0].json, ...rules }, config: {} }))];
}

const steps = (...types: readonly (string | Json)[]) =>
  types.map((type) => (typeof type === "string" ? { type } : type));

const RARE_RULES: readonly Json[] = [
  {
    model: {
      type: "WordPiece",
      vocab: { a: 0, "##b": 1, "[UNK]": 2 },
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
    },
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "BertProcessing", sep: ["a", 0], cls: ["a", 0] },
    decoder: { type: "Replace", pattern: { String: "##" }, content: "" },
  },
  {
    model: {
      type: "Unigram",
      vocab: [
        ["<unk>", 0],
        ["a", -1],
        ["▁b", -2.5],
      ],
      unk_id: 0,
      byte_fallback: false,
    },
    normalizer: {
      type: "Sequence",
      normalizers: steps("NFKC", "Lowercase", "StripAccents", { type: "Prepend", prepend: "▁" }),
    },
    pre_tokenizer: { type: "Sequence", pretokenizers: steps("WhitespaceSplit", "Metaspace", "Digits", "Punctuation") },
    post_processor: { type: "RobertaProcessing", sep: ["a", 1], cls: ["a", 1] },
    decoder: {
      type: "Sequence",
      decoders: steps("ByteFallback", "Fuse", { type: "Strip", content: " ", start: 1, stop: 0 }),
    },
  },
  {
    model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: [["a", "b"]], unk_token: "a", byte_fallback: true },
    normalizer: { type: "Replace", pattern: { Regex: "\\s+" }, content: "a" },
    pre_tokenizer: { type: "FixedLength", length: 4 },
    post_processor: { type: "Sequence", processors: steps("ByteLevel") },
    decoder: { type: "Metaspace", replacement: "a", prepend_scheme: "first" },
  },
];

/** Sources of chat templates. */
export function fuzzTemplates(): string[] {
  const config = readTokenizerFiles("embedded").config!;
  const shared = hasSharedModels
    ? readdirSync(`${TOKENIZER_DIRS.get("stories260K")}/../../chat-templates`).filter((name) => name.endsWith(".jinja"))
    : [];
  return [String(config.chat_template), ...shared.map((name) => readSharedText(`chat-templates/${name}`))];
}
