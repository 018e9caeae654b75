import { CairnError } from "../index";

/** Whatever was thrown as the error that the page knows how to show. */
export function asCairnError(thrown: unknown): CairnError {
  if (thrown instanceof CairnError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new CairnError("internal", message, {}, { cause: thrown });
}
