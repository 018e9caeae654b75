import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { CairnError, reasonOf } from "../util/errors";
import { briefJson, briefValue, isRecord } from "../util/json";
import { checkTokenizerJson } from "./check-tokenizer";
import { pieceBytes } from "./piece-bytes";
import { type PieceRules, parsePieceRules } from "./piece-rules";
import type { TokenizerFiles } from "./tokenizer-files";

const FILE = "tokenizer.json";
const NO_BYTES = new Uint8Array(0);

export interface EncodeOptions {
  /** Let the tokenizer add what it adds around a text, such as a leading BOS. Special tokens in the text always count. */
  readonly addSpecialTokens: boolean;
}

/** Text to ids and ids to bytes, by a model's tokenizer.json. For ids to text use IncrementalDecoder. */
export class Tokenizer {
  /** One more than the highest id that has a token. A model's vocabulary may be padded beyond it. */
  readonly vocabSize: number;
  /** Ids that the tokenizer puts before every text when it adds special tokens; usually one BOS or none. */
  readonly leadingIds: readonly number[];
  readonly #hf: HfTokenizer;
  readonly #rules: PieceRules;
  readonly #addedIds: ReadonlySet<number>;
  readonly #specialIds: ReadonlySet<number>;

  /** Throws `model_file_missing`, `network`, `aborted`, or `invalid_tokenizer` { file, ... }. */
  static async load(files: TokenizerFiles, signal?: AbortSignal): Promise<Tokenizer> {
    const invalidCode = "invalid_tokenizer";
    const json = await files.readJson(FILE, { signal, invalidCode });
    const config = await files.readJson("tokenizer_config.json", { signal, invalidCode, optional: true });
    return new Tokenizer(json, config);
  }

  /** `tokenizerConfig` is the content of tokenizer_config.json, or null. */
  constructor(tokenizerJson: unknown, tokenizerConfig: unknown | null) {
    if (!isRecord(tokenizerJson)) throw invalidTokenizer("it is not a JSON object");
    const config = isRecord(tokenizerConfig) ? tokenizerConfig : {};
    this.#rules = orInvalid(() => parsePieceRules(tokenizerJson.decoder));
    this.#hf = orInvalid(() => {
      checkTokenizerJson(tokenizerJson);
      return new HfTokenizer({ added_tokens: [], ...tokenizerJson }, config);
    });
    this.leadingIds = this.encode("", { addSpecialTokens: true });
    const added = [...this.#hf.get_added_tokens_decoder().values()];
    this.vocabSize = this.#hf.model?.vocab.length ?? 0;
    this.#addedIds = new Set(added.map((token) => token.id));
    const alsoSpecial: unknown[] = Array.isArray(config.additional_special_tokens)
      ? config.additional_special_tokens
      : [];
    const isSpecial = (token: (typeof added)[number]) => token.special || alsoSpecial.includes(token.content);
    this.#specialIds = new Set(added.filter(isSpecial).map((token) => token.id));
  }

  /**
   * Throws `invalid_tokenizer` { file, token } for a token that has no id, { file, reason } where the text cannot be cut. A character that the vocabulary cannot write
   * is left out where the tokenizer names no token for unknown text, as the format's own implementation does.
   */
  encode(text: string, { addSpecialTokens }: EncodeOptions): number[] {
    const { ids, tokens } = orInvalid(() => this.#hf.encode(text, { add_special_tokens: addSpecialTokens }));
    const unknown = ids.findIndex((id) => !Number.isInteger(id));
    if (unknown === -1) return ids;
    const token = tokens[unknown];
    const message = `The tokenizer wrote a text with ${briefJson(token)}, which has no id in its vocabulary.`;
    throw new CairnError("invalid_tokenizer", message, { file: FILE, token: briefValue(token) });
  }

  /** Id of a token as the vocabulary spells it, added tokens included. */
  tokenId(token: string): number | null {
    return this.#hf.token_to_id(token) ?? null;
  }

  /** The token as the vocabulary spells it ("▁the", "Ġthe"), not as text. */
  tokenText(tokenId: number): string | null {
    return this.#hf.id_to_token(tokenId) ?? null;
  }

  /** Special tokens steer the model and are no part of its text. */
  isSpecial(tokenId: number): boolean {
    return this.#specialIds.has(tokenId);
  }

  /** Added tokens are matched in a text before it is cut into pieces; special tokens are among them. */
  isAdded(tokenId: number): boolean {
    return this.#addedIds.has(tokenId);
  }

  /** The UTF-8 bytes that a token adds to the text, possibly a part of a character. None for an id without a token. */
  tokenBytes(tokenId: number): Uint8Array {
    const token = this.tokenText(tokenId);
    return token === null ? NO_BYTES : pieceBytes(token, this.isAdded(tokenId), this.#rules);
  }

  /** Characters that a decoder takes off the start of a whole text: SentencePiece puts a space before the first word. */
  get leadingStrip(): PieceRules["leadingStrip"] {
    return this.#rules.leadingStrip;
  }
}

/** Calls the library, which throws errors of many kinds. */
function orInvalid<T>(call: () => T): T {
  try {
    return call();
  } catch (thrown) {
    if (thrown instanceof CairnError) throw thrown;
    throw invalidTokenizer(reasonOf(thrown), thrown);
  }
}

function invalidTokenizer(reason: string, cause?: unknown): CairnError {
  return new CairnError("invalid_tokenizer", `"${FILE}" cannot be used: ${reason}`, { file: FILE, reason }, { cause });
}
