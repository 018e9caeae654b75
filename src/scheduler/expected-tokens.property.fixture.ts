/** Names prefixes exactly: two ids are equal where root and tokens are, with no hash that could make them so. */
export class PrefixTrie {
  readonly #roots = new Map<string, number>();
  readonly #children = new Map<number, number>();

  root(name: string): number {
    return internAt(this.#roots, name, this.#numNodes);
  }

  /** `tokenId` is under 2^20, so that parent and token make one exact number. */
  child(parentId: number, tokenId: number): number {
    return internAt(this.#children, parentId * 2 ** 20 + tokenId, this.#numNodes);
  }

  get #numNodes(): number {
    return this.#roots.size + this.#children.size;
  }
}

function internAt<K>(ids: Map<K, number>, key: K, nextId: number): number {
  const id = ids.get(key) ?? nextId;
  ids.set(key, id);
  return id;
}

export interface ScriptedSample {
  readonly tokenId: number;
  readonly finite: boolean;
}

/** What the scripted model gives a request at a position. */
export type SampleScript = (position: number) => ScriptedSample;

/**
 * The tokens that a request has at its positions when it runs alone: its prompt, then the script's, without end, because
 * steps in flight go on where a request has ended. Prefix ids begin at `root`, which names those who may share blocks.
 */
export class ExpectedTokens {
  readonly promptTokenIds: readonly number[];
  readonly #trie: PrefixTrie;
  readonly #script: SampleScript;
  readonly #root: string;
  readonly #prefixIds: number[] = [];

  constructor(trie: PrefixTrie, root: string, promptTokenIds: readonly number[], script: SampleScript) {
    this.#trie = trie;
    this.#root = root;
    this.promptTokenIds = promptTokenIds;
    this.#script = script;
  }

  at(position: number): number {
    return this.promptTokenIds[position] ?? this.#script(position).tokenId;
  }

  sample(position: number): ScriptedSample {
    return this.#script(position);
  }

  /** Names all tokens up to this position, itself included. */
  prefixId(position: number): number {
    for (let next = this.#prefixIds.length; next <= position; next++) {
      const parentId = next === 0 ? this.#trie.root(this.#root) : this.#prefixIds[next - 1];
      this.#prefixIds.push(this.#trie.child(parentId, this.at(next)));
    }
    return this.#prefixIds[position];
  }

  /** The output of a request that nobody stops: up to EOS, a sample that is not finite, or `maxNumTokens`. */
  outputTokenIds(maxNumTokens: number, eosTokenIds: readonly number[]): number[] {
    const output: number[] = [];
    while (output.length < maxNumTokens) {
      const { tokenId, finite } = this.#script(this.promptTokenIds.length + output.length);
      if (!finite) break;
      output.push(tokenId);
      if (eosTokenIds.includes(tokenId)) break;
    }
    return output;
  }
}
