import type { KvCacheManager, KvRequest, NewBlocks } from "./kv-cache-manager";
import { PrefixHashes } from "./prefix-hashes";

/** A request as the cache sees it, with blocks of 4 tokens, whose counts the test moves. */
export class TestRequest implements KvRequest {
  row: number | null;
  numComputedTokens = 0;
  numInFlightTokens = 0;
  readonly store = "all";
  readonly tokenIds: number[];
  readonly prefixHashes: PrefixHashes | null;

  constructor(row: number, tokenIds: readonly number[], usePrefixCache = true) {
    this.row = row;
    this.tokenIds = [...tokenIds];
    const known = (start: number, end: number) => this.tokenIds.slice(start, end);
    this.prefixHashes = usePrefixCache ? new PrefixHashes(4, { cacheSalt: null }, known) : null;
  }

  get numTokens(): number {
    return this.tokenIds.length;
  }
}

/** Takes the request in with what is cached of it; returns how many tokens that is. */
export function admit(cache: KvCacheManager, request: TestRequest): number {
  const hit = cache.findPrefix(request);
  cache.admit(request.row!, hit);
  request.numComputedTokens = hit.numTokens;
  return hit.numTokens;
}

/** Feeds the next tokens as the scheduler does, in a step that is processed at once unless told otherwise. */
export function feed(
  cache: KvCacheManager,
  request: TestRequest,
  numNewTokens: number,
  isInFlight = false,
): NewBlocks[] | null {
  cache.freeOutOfWindow(request);
  const newBlocks = cache.allocateSlots(request, numNewTokens);
  if (newBlocks === null) return null;
  request.numComputedTokens += numNewTokens;
  if (isInFlight) request.numInFlightTokens += numNewTokens;
  cache.publish(request);
  return newBlocks;
}

/** `numTokens` ids that no other `seed` has. */
export function tokens(seed: number, numTokens: number): number[] {
  return Array.from({ length: numTokens }, (_, i) => 1000 * seed + i);
}
