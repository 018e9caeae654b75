import { type TransferHandler, transferHandlers } from "comlink";
import { CairnError, toWireError, type WireError } from "../util/errors";

/** Comlink wraps what a call threw as `{ value }` with a mark of its own; its handler recognizes the mark. */
interface Thrown {
  readonly value: unknown;
}

/**
 * Makes errors keep code, data, message and stack on their way through Comlink, in both directions: whatever one side
 * throws is a CairnError on the other. Both threads call this before their first call; calling it again does no harm.
 */
export function installErrorTransfer(): void {
  const comlinkHandler = transferHandlers.get("throw") as TransferHandler<Thrown, unknown>;
  const handler: TransferHandler<Thrown, WireError> = {
    canHandle: comlinkHandler.canHandle,
    serialize: ({ value }) => [toWireError(value), []],
    deserialize: (wire) => {
      throw CairnError.fromWire(wire);
    },
  };
  transferHandlers.set("throw", handler as TransferHandler<unknown, unknown>);
}
