// A script of the old kind: it leaves what it exports as a global variable.
import "@mlc-ai/web-xgrammar";
import type { LazyParts } from "../../engine/lazy-parts";
import { Grammars } from "../../sampling/grammar/grammars";
import type { XGrammar } from "../../sampling/grammar/xgrammar";
import { CairnError, reasonOf } from "../../util/errors";

/** Of this evaluation of the part: another one has another. */
const { xgrammar } = globalThis as typeof globalThis & { readonly xgrammar: XGrammar };

/** What texts that keep to a grammar need. Rejects with `worker_failed` { reason } where the page's policy lets no WebAssembly run. */
export const grammar: LazyParts["grammar"] = async (vocabulary) => {
  try {
    return await Grammars.create(xgrammar, vocabulary);
  } catch (cause) {
    const reason = reasonOf(cause);
    const message = `Structured output could not start; a Content-Security-Policy must let script-src be 'wasm-unsafe-eval'. ${reason}`;
    throw new CairnError("worker_failed", message, { reason }, { cause });
  }
};
