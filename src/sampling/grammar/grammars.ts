import { assert, CairnError, reasonOf } from "../../util/errors";
import type { GrammarFormat } from "../grammar";
import { structuralTag } from "./structural-tag";
import { encodeVocabulary, SpecialTokens, type Vocabulary } from "./vocabulary";
import type { XCompiler, XGrammar, XHandle, XMatcher } from "./xgrammar";

/** Grammars that are kept compiled. */
const MAX_COMPILED = 8;

/** A text that keeps to a grammar. */
export interface Constraint {
  /** What may come next: [ceil(vocabulary size / 32)], a bit an id. */
  readonly mask: Uint32Array<ArrayBuffer>;
  /**
   * Takes in the next id of the text, one of the mask; the next mask is known when it resolves. Rejects with `invalid_request` where
   * the vocabulary has no token that could come next.
   */
  accept(tokenId: number): Promise<void>;
  /** Frees what it holds, at once or when the mask that is under way came. Idempotent. */
  end(): void;
}

interface Compiled {
  readonly handle: XHandle;
  readonly allowed: Uint32Array;
}

/** Grammars for one vocabulary, and for one engine: an XGrammar of their own goes with them, and all that it holds. */
export class Grammars {
  readonly #xgrammar: XGrammar;
  readonly #compiler: XCompiler;
  readonly #specials: SpecialTokens;
  /** By the format's JSON; the one that was used last comes last. */
  readonly #compiled = new Map<string, Promise<Compiled>>();
  #isBroken = false;

  static async create(xgrammar: XGrammar, vocabulary: Vocabulary): Promise<Grammars> {
    const { size } = vocabulary;
    const stopIds = vocabulary.stopIds.filter((tokenId) => tokenId < size);
    const tokens = encodeVocabulary(vocabulary);
    const tokenizer = await xgrammar.TokenizerInfo.createTokenizerInfo(tokens, "byte_level", false, size, stopIds);
    const compiler = await xgrammar.GrammarCompiler.createGrammarCompiler(tokenizer, false);
    return new Grammars(xgrammar, compiler, new SpecialTokens(vocabulary));
  }

  private constructor(xgrammar: XGrammar, compiler: XCompiler, specials: SpecialTokens) {
    this.#xgrammar = xgrammar;
    this.#compiler = compiler;
    this.#specials = specials;
  }

  /** XGrammar failed: it is in no state to begin anything. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /**
   * Rejects with `unsupported_parameter` { param } and `invalid_request` { param } where a schema cannot be kept to, or XGrammar fails
   * over the format.
   */
  async begin(format: GrammarFormat): Promise<Constraint> {
    try {
      const { handle, allowed } = await this.#compile(format);
      const matcher = await this.#xgrammar.GrammarMatcher.createGrammarMatcher(handle);
      return await MatchedText.begin(matcher, allowed);
    } catch (error) {
      if (error instanceof CairnError) throw error;
      this.#isBroken = true;
      const message = `No grammar could be made of what the text is to keep to: ${reasonOf(error)}`;
      throw new CairnError("invalid_request", message, { param: "response_format" }, { cause: error });
    }
  }

  #compile(format: GrammarFormat): Promise<Compiled> {
    const key = JSON.stringify(format);
    const compiled = this.#compiled.get(key) ?? this.#compileAnew(format);
    this.#compiled.delete(key);
    this.#compiled.set(key, compiled);
    compiled.catch(() => this.#compiled.delete(key));
    for (const [oldest, entry] of this.#compiled) {
      if (this.#compiled.size <= MAX_COMPILED) break;
      this.#compiled.delete(oldest);
      release(entry);
    }
    return compiled;
  }

  async #compileAnew(format: GrammarFormat): Promise<Compiled> {
    const spelled = new Set<number>();
    const tag = structuralTag(format, (text) => this.#specials.mark(text, (tokenId) => spelled.add(tokenId)));
    const handle = await this.#compiler.compileStructuralTag({ type: "structural_tag", format: tag });
    return { handle, allowed: this.#specials.allowed(spelled) };
  }
}

/** Texts that keep to it live on. */
function release(compiled: Promise<Compiled>): void {
  compiled.then(
    // After the matcher was made for which it was compiled.
    ({ handle }) => setTimeout(() => handle.dispose()),
    () => {}, // Nothing was made.
  );
}

class MatchedText implements Constraint {
  mask: Uint32Array<ArrayBuffer> = new Uint32Array();
  readonly #matcher: XMatcher;
  readonly #allowed: Uint32Array;
  #isBusy = false;
  #hasEnded = false;

  static async begin(matcher: XMatcher, allowed: Uint32Array): Promise<MatchedText> {
    const text = new MatchedText(matcher, allowed);
    try {
      await text.#takeMask();
    } catch (error) {
      text.end();
      throw error;
    }
    return text;
  }

  private constructor(matcher: XMatcher, allowed: Uint32Array) {
    this.#matcher = matcher;
    this.#allowed = allowed;
  }

  async accept(tokenId: number): Promise<void> {
    assert(this.#matcher.acceptToken(tokenId), () => `the grammar does not go on with id ${tokenId}`);
    await this.#takeMask();
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (!this.#isBusy) this.#matcher.dispose();
  }

  async #takeMask(): Promise<void> {
    this.#isBusy = true;
    const bits = await this.#matcher.getNextTokenBitmask();
    this.#isBusy = false;
    if (this.#hasEnded) this.#matcher.dispose();
    this.mask = Uint32Array.from(this.#allowed, (allowed, word) => allowed & bits[word]);
    if (this.mask.some((word) => word !== 0)) return;
    const message = "The model's vocabulary has no token with which the text could go on as it was asked to.";
    throw new CairnError("invalid_request", message, { param: "response_format" });
  }
}
