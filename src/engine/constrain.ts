import type { GrammarFormat } from "../sampling/grammar";
import type { Constraint, Grammars } from "../sampling/grammar/grammars";

/** Begins a text that keeps to a format. Resolves when its first mask is known; rejects as Grammars, and where these cannot be had. */
export type Constrain = (format: GrammarFormat) => Promise<Constraint>;

/** Loads grammars for the first that wants them, and again after a failure. */
export function constrainWith(load: () => Promise<Grammars>): Constrain {
  let grammars: Promise<Grammars | null> = Promise.resolve(null);
  return async (format) => {
    const loaded = grammars.catch(() => null).then((own) => (own && !own.isBroken ? own : load()));
    grammars = loaded;
    return (await loaded).begin(format);
  };
}
