import type { TokensByTier } from "../protocol/kv-messages";
import type { Usage } from "../protocol/messages";
import type { Request } from "../scheduler/request";

export function usageOf(request: Request): Usage {
  return {
    promptTokens: request.numPromptTokens,
    completionTokens: request.outputTokenIds.length,
    cachedTokens: request.numCachedTokens ?? 0,
    cachedTokensByTier: tokensByTier(request),
  };
}

export function tokensByTier({ numCachedTokens, numExternalTokens, numStorageTokens }: Request): TokensByTier {
  return {
    gpu: (numCachedTokens ?? 0) - numExternalTokens,
    host: numExternalTokens - numStorageTokens,
    storage: numStorageTokens,
  };
}
