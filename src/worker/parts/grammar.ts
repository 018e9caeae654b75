import * as xgrammar from "@mlc-ai/web-xgrammar";
import type { LazyParts } from "../../engine/lazy-parts";
import { Grammars } from "../../sampling/grammar/grammars";
import type { XGrammar } from "../../sampling/grammar/xgrammar";
import { CairnError, reasonOf } from "../../util/errors";

/**
 * Texts that keep to a grammar. Each evaluation of the part has an XGrammar of its own. Rejects with `worker_failed` { reason }
 * where it cannot start, as where the page's policy lets no WebAssembly run.
 */
export const grammar: LazyParts["grammar"] = async (vocabulary) => {
  try {
    return await Grammars.create(xgrammar as unknown as XGrammar, vocabulary);
  } catch (cause) {
    const reason = reasonOf(cause);
    const isRefused = /wasm|webassembly/i.test(reason);
    const hint = isRefused ? " A Content-Security-Policy must have 'wasm-unsafe-eval' in script-src." : "";
    const message = `Structured output could not start: ${reason}${hint}`;
    throw new CairnError("worker_failed", message, { reason }, { cause });
  }
};
