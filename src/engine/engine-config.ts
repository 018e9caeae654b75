import { OFFLOAD_POLICIES } from "../offload/offload-policy";
import type { EngineConfig } from "../protocol/engine-config";
import { CairnError } from "../util/errors";

export type { EngineConfig };

const MIB = 1 << 20;

/** Some kernels have a workgroup for each token in one dimension of their grid, which holds no more. */
const MAX_TOKENS_A_STEP = 65_535;

export const DEFAULT_ENGINE_CONFIG: EngineConfig = Object.freeze({
  maxNumRunning: 8,
  maxNumBatchedTokens: 512,
  maxPrefillChunkTokens: null,
  maxInFlightSteps: 2,
  usePrefixCache: true,
  admissionWatermark: 0.01,
  useHostCache: true,
  hostCacheBytes: null,
  offloadPolicy: "storeOnCompute",
  storeThreshold: 1,
  hostEvictionPolicy: "lru",
  useStorage: true,
  storageBytes: null,
  storageTtlMs: 7 * 24 * 3_600_000,
  storageBackend: "auto",
  loadPolicy: "auto",
  maxTransferBytesPerStep: 8 * MIB,
  numStagingSlots: 16,
  kvCacheBytes: null,
  gpuMemoryBytes: null,
  maxPieceBytes: 16 * MIB,
  submitTargetMs: 300,
  useF16: true,
  useSubgroups: true,
  useSelfTest: true,
  useFusedNorm: true,
  useGemvUpToTokens: 8,
  profile: false,
});

/** What a setting may be; the words end the sentence "engine.x must be ...". */
interface Rule {
  readonly words: string;
  accepts(value: unknown): boolean;
}

function integer(min: number, max = Number.MAX_SAFE_INTEGER): Rule {
  const words = max === Number.MAX_SAFE_INTEGER ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`;
  return { words, accepts: (value) => Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max };
}

function orNull(rule: Rule): Rule {
  return { words: `${rule.words}, or null`, accepts: (value) => value === null || rule.accepts(value) };
}

const POSITIVE_NUMBER: Rule = {
  words: "a number above 0",
  accepts: (value) => typeof value === "number" && Number.isFinite(value) && value > 0,
};
const SHARE: Rule = {
  words: "a number from 0 to 1",
  accepts: (value) => typeof value === "number" && value >= 0 && value <= 1,
};
function oneOf(words: readonly string[]): Rule {
  return { words: `one of ${words.join(", ")}`, accepts: (value) => words.includes(String(value)) };
}
const BOOLEAN: Rule = { words: "true or false", accepts: (value) => typeof value === "boolean" };

const RULES: Readonly<Record<keyof EngineConfig, Rule>> = {
  maxNumRunning: integer(1, MAX_TOKENS_A_STEP),
  maxNumBatchedTokens: integer(1, MAX_TOKENS_A_STEP),
  maxPrefillChunkTokens: orNull(integer(1)),
  maxInFlightSteps: integer(1, 4),
  usePrefixCache: BOOLEAN,
  admissionWatermark: SHARE,
  useHostCache: BOOLEAN,
  hostCacheBytes: orNull(integer(1)),
  offloadPolicy: oneOf(OFFLOAD_POLICIES),
  storeThreshold: integer(1),
  hostEvictionPolicy: oneOf(["lru", "arc"]),
  useStorage: BOOLEAN,
  storageBytes: orNull(integer(1)),
  storageTtlMs: integer(1),
  storageBackend: oneOf(["auto", "indexeddb"]),
  loadPolicy: oneOf(["auto", "always"]),
  maxTransferBytesPerStep: integer(1),
  numStagingSlots: integer(1, 256),
  kvCacheBytes: orNull(integer(1)),
  gpuMemoryBytes: orNull(integer(1)),
  maxPieceBytes: integer(1),
  submitTargetMs: POSITIVE_NUMBER,
  useF16: BOOLEAN,
  useSubgroups: BOOLEAN,
  useSelfTest: BOOLEAN,
  useFusedNorm: BOOLEAN,
  useGemvUpToTokens: integer(0, 8),
  profile: BOOLEAN,
};

/**
 * The defaults with `overrides` laid over them, frozen. An override that is undefined counts as absent.
 * Throws `unsupported_parameter` for a name that is no setting, `invalid_request` for a value that it cannot take.
 */
export function resolveEngineConfig(overrides: Readonly<Record<string, unknown>> = {}): EngineConfig {
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    const param = `engine.${name}`;
    if (!Object.hasOwn(RULES, name)) {
      throw new CairnError("unsupported_parameter", `There is no setting ${param}.`, { param });
    }
    const rule = RULES[name as keyof EngineConfig];
    if (!rule.accepts(value)) {
      throw new CairnError("invalid_request", `${param} must be ${rule.words}.`, { param, value });
    }
  }
  return Object.freeze({ ...DEFAULT_ENGINE_CONFIG, ...Object.fromEntries(given) });
}
