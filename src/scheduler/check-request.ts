import { assert, CairnError } from "../util/errors";
import type { Request, RequestStatus } from "./request";
import type { ScheduledRequest } from "./scheduler-output";

/**
 * Throws `invalid_request` for an empty prompt, a maxTokens under 1, a priority that is no integer and an id in use,
 * `context_length_exceeded` when the prompt leaves no room for one token.
 */
export function checkRequest(request: Request, maxModelLen: number, isIdInUse: boolean): void {
  const { requestId, numPromptTokens, maxTokens, priority } = request;
  if (numPromptTokens === 0) throw invalidRequest("prompt", "The prompt has no tokens.");
  if (!(maxTokens >= 1)) throw invalidRequest("max_tokens", `max_tokens is ${maxTokens}, under 1`);
  if (!Number.isSafeInteger(priority)) throw invalidRequest("priority", `priority is ${priority}, not an integer`);
  if (isIdInUse) throw invalidRequest("requestId", `request id ${requestId} is in use`);
  if (numPromptTokens >= maxModelLen) {
    const message = `The prompt has ${numPromptTokens} tokens and the answer needs one more; the context holds ${maxModelLen}.`;
    throw new CairnError("context_length_exceeded", message, { numPromptTokens, maxModelLen });
  }
}

/** Throws `internal` unless a request's counts are those of its entries in the steps in flight, counted afresh. */
export function checkCounts(
  request: Request,
  expectedStatus: RequestStatus,
  inFlight: readonly ScheduledRequest[],
): void {
  const { requestId, status, row, numComputedTokens, numInFlightTokens, numOutputPlaceholders, numTokens } = request;
  const numFed = inFlight.reduce((sum, entry) => sum + entry.numTokens, 0);
  const numSampled = inFlight.filter(({ samples }) => samples).length;
  const isRight =
    status === expectedStatus &&
    (request.isConstrained ? numSampled <= Number(request.isHeld) : !request.isHeld) &&
    (row !== null) === (status === "running" || status === "loading") &&
    numInFlightTokens === numFed &&
    numOutputPlaceholders === numSampled &&
    numFed <= numComputedTokens &&
    numComputedTokens <= (status === "running" ? numTokens + numSampled : 0);
  const counts = { requestId, status, row, numComputedTokens, numInFlightTokens, numOutputPlaceholders, numTokens };
  assert(isRight, () => `wrong counts of a request: ${JSON.stringify({ ...counts, numFed, numSampled })}`);
}

function invalidRequest(param: string, message: string): CairnError {
  return new CairnError("invalid_request", message, { param });
}
