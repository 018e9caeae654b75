import { briefJson, isRecord } from "../util/json";

/** Ids are stored as 32-bit integers wherever the model reads them. */
const MAX_TOKEN_ID = 2 ** 31 - 1;
/** Characters that may stand for one of a text after all replacements; known tokenizers have one or two. */
const MAX_GROWTH = 64;

/**
 * Checks of a tokenizer.json what the library takes on trust, and what would make it loop or allocate without end. The
 * rest it refuses by itself. Throws a plain Error with the reason.
 */
export function checkTokenizerJson(tokenizer: Readonly<Record<string, unknown>>): void {
  const { model, added_tokens: addedTokens = [], normalizer, pre_tokenizer: preTokenizer, decoder } = tokenizer;
  if (!isRecord(model)) throw new Error("model is not an object");
  if (model.type === "Unigram" || Array.isArray(model.vocab)) checkPieces(model.vocab);
  else checkVocab(model.vocab);
  if (model.merges !== undefined && !isMergeList(model.merges)) throw new Error("model.merges is not a list of pairs");
  if (!Array.isArray(addedTokens)) throw new Error("added_tokens is not a list");
  for (const token of addedTokens) {
    const isToken = isRecord(token) && typeof token.content === "string" && isTokenId(token.id);
    if (!isToken) throw new Error(`added_tokens holds ${briefJson(token)}, which has no text or no id`);
  }
  for (const steps of [normalizer, preTokenizer, decoder]) {
    if (growthOf(steps) > MAX_GROWTH)
      throw new Error(`its replacements make a text more than ${MAX_GROWTH} times longer`);
  }
}

function isTokenId(id: unknown): boolean {
  return Number.isInteger(id) && Number(id) >= 0 && Number(id) <= MAX_TOKEN_ID;
}

function checkVocab(vocab: unknown): void {
  if (!isRecord(vocab)) throw new Error("model.vocab is not an object");
  for (const [token, id] of Object.entries(vocab)) {
    if (!isTokenId(id)) throw new Error(`model.vocab gives ${briefJson(token)} the id ${briefJson(id)}`);
  }
}

function checkPieces(pieces: unknown): void {
  const isPiece = (piece: unknown) =>
    Array.isArray(piece) && typeof piece[0] === "string" && typeof piece[1] === "number";
  if (!Array.isArray(pieces) || !pieces.every(isPiece))
    throw new Error("model.vocab is not a list of pieces and scores");
}

function isMergeList(merges: unknown): boolean {
  const isMerge = (merge: unknown) =>
    typeof merge === "string" || (Array.isArray(merge) && merge.every((part) => typeof part === "string"));
  return Array.isArray(merges) && merges.every(isMerge);
}

/** How many times longer the replacements among these steps, one after the other, can make a text. */
function growthOf(step: unknown): number {
  if (Array.isArray(step)) return step.reduce((growth: number, inner) => growth * growthOf(inner), 1);
  if (!isRecord(step)) return 1;
  if (step.type === "FixedLength" && !(Number.isInteger(step.length) && Number(step.length) > 0)) {
    throw new Error(`a pre-tokenizer cuts pieces of ${briefJson(step.length)} characters`);
  }
  const contents = [step.content, step.replacement, step.str_rep].filter((content) => typeof content === "string");
  const steps = [step.normalizers, step.pretokenizers, step.decoders];
  return contents.reduce((growth, { length }) => growth * Math.max(1, length), growthOf(steps));
}
