/** What is used of @mlc-ai/web-xgrammar. Whatever it refuses ends in its wasm's abort, after which it is not to be used any more. */
export interface XGrammar {
  readonly TokenizerInfo: {
    createTokenizerInfo(
      vocabulary: readonly string[],
      vocabType: "byte_level",
      prependSpace: boolean,
      vocabSize: number,
      stopTokenIds: readonly number[],
    ): Promise<XHandle>;
  };
  readonly GrammarCompiler: {
    createGrammarCompiler(tokenizer: XHandle, cacheEnabled: boolean): Promise<XCompiler>;
  };
  readonly GrammarMatcher: {
    createGrammarMatcher(grammar: XHandle): Promise<XMatcher>;
  };
}

/** A handle of something that the wasm owns. */
export interface XHandle {
  dispose(): void;
}

export interface XCompiler extends XHandle {
  compileStructuralTag(tag: { readonly type: "structural_tag"; readonly format: unknown }): Promise<XHandle>;
}

export interface XMatcher extends XHandle {
  /** False where the grammar does not allow it; nothing changes then. */
  acceptToken(tokenId: number): boolean;
  getNextTokenBitmask(): Promise<Int32Array>;
}
