import { OFFLOAD_POLICIES } from "../offload/offload-policy";
import type { EngineConfig } from "../protocol/engine-config";
import { CairnError } from "../util/errors";

export type { EngineConfig };

const MIB = 1 << 20;

/** Some kernels have a workgroup for each token in one dimension of their grid, which holds no more. */
const MAX_TOKENS_A_STEP = 65_535;

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

/** What each setting is unless it is given, and what it may be. */
const SETTINGS: { readonly [Name in keyof EngineConfig]: readonly [EngineConfig[Name], Rule] } = {
  maxNumRunning: [8, integer(1, MAX_TOKENS_A_STEP)],
  maxNumBatchedTokens: [512, integer(1, MAX_TOKENS_A_STEP)],
  maxPrefillChunkTokens: [null, orNull(integer(1))],
  maxInFlightSteps: [2, integer(1, 4)],
  usePrefixCache: [true, BOOLEAN],
  admissionWatermark: [0.01, SHARE],
  useHostCache: [true, BOOLEAN],
  hostCacheBytes: [null, orNull(integer(1))],
  offloadEncoding: ["exact", oneOf(["exact", "int8"])],
  offloadPolicy: ["storeOnCompute", oneOf(OFFLOAD_POLICIES)],
  storeThreshold: [1, integer(1)],
  hostEvictionPolicy: ["lru", oneOf(["lru", "arc"])],
  useStorage: [true, BOOLEAN],
  storageBytes: [null, orNull(integer(1))],
  storageTtlMs: [7 * 24 * 3_600_000, integer(1)],
  storageBackend: ["auto", oneOf(["auto", "indexeddb"])],
  loadPolicy: ["auto", oneOf(["auto", "always"])],
  maxTransferBytesPerStep: [8 * MIB, integer(1)],
  numStagingSlots: [16, integer(1, 256)],
  kvCacheBytes: [null, orNull(integer(1))],
  gpuMemoryBytes: [null, orNull(integer(1))],
  maxPieceBytes: [16 * MIB, integer(1)],
  submitTargetMs: [300, POSITIVE_NUMBER],
  maxDeviceLosses: [3, integer(1)],
  useF16: [true, BOOLEAN],
  useSubgroups: [true, BOOLEAN],
  useSelfTest: [true, BOOLEAN],
  useFusedNorm: [true, BOOLEAN],
  useGemvUpToTokens: [8, integer(0, 8)],
  profile: [false, BOOLEAN],
};

export const DEFAULT_ENGINE_CONFIG = Object.freeze(
  Object.fromEntries(Object.entries(SETTINGS).map(([name, [value]]) => [name, value])),
) as unknown as EngineConfig;

/**
 * The defaults with `overrides` laid over them, frozen. An override that is undefined counts as absent.
 * Throws `unsupported_parameter` for a name that is no setting, `invalid_request` for a value that it cannot take.
 */
export function resolveEngineConfig(overrides: Readonly<Record<string, unknown>> = {}): EngineConfig {
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    const param = `engine.${name}`;
    if (!Object.hasOwn(SETTINGS, name)) {
      throw new CairnError("unsupported_parameter", `There is no setting ${param}.`, { param });
    }
    const [, rule] = SETTINGS[name as keyof EngineConfig];
    if (!rule.accepts(value)) {
      throw new CairnError("invalid_request", `${param} must be ${rule.words}.`, { param, value });
    }
  }
  return Object.freeze({ ...DEFAULT_ENGINE_CONFIG, ...Object.fromEntries(given) });
}
