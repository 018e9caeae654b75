import { OFFLOAD_POLICIES } from "../offload/offload-policy";
import { CairnError } from "../util/errors";
import { choice, count, countOr, flag, type OptionKind, quantity } from "./option-kinds";

const MIB = 1 << 20;

/**
 * The defaults are a laptop's GPU at about 100 GB/s and 2.5 TFLOPS that runs Llama 3.2 1B, and what WebGPU copies there:
 * about 4 GB/s through `writeBuffer`; about 3 GB/s for a copy to a staging slot and the memcpy out of it; about 200 MB/s out of
 * IndexedDB.
 */
const KINDS = {
  blockSize: count(16, "tokens in a block"),
  numBlocks: countOr("unlimited", 8192, "blocks of the pool, the null block included"),
  pageBytes: countOr("example", null, "bytes of a block; example is Llama 3.2 1B in f16, 32 KiB a token"),
  maxNumRunning: count(8, "requests that run at once"),
  maxNumBatchedTokens: count(512, "token budget of a step"),
  maxPrefillChunkTokens: countOr("none", null, "most prompt tokens of one request in a step"),
  maxModelLen: count(131_072, "longest prompt + completion, in tokens"),
  maxInFlightSteps: count(2, "steps submitted before the first of them is processed"),
  usePrefixCache: flag(true, "share blocks by content"),
  admissionWatermark: quantity(0.01, "share of the pool that an admission leaves free", 1),
  stepMs: quantity(10, "cost of a step that computes"),
  tokenMs: quantity(1, "cost of each token that a step computes"),
  contextTokenMs: quantity(0.0003, "cost of each token of context that attention reads"),
  readbackMs: quantity(2, "from the end of a step until its ids are known"),
  hostBytes: countOr("none", null, "RAM for copies of blocks"),
  offloadPolicy: choice(OFFLOAD_POLICIES, "when blocks are copied to RAM"),
  storeThreshold: count(1, "prompts that must have contained what is copied to RAM"),
  hostEvictionPolicy: choice(["lru", "arc"], "which copies go first when the RAM is full"),
  numStagingSlots: count(16, "copies to RAM that may be under way at once"),
  maxTransferBytesPerStep: count(8 * MIB, "bytes that a step moves between GPU and RAM"),
  copyInMsPerMiB: quantity(0.25, "cost of each MiB from RAM to the GPU"),
  copyOutMsPerMiB: quantity(0.35, "cost of each MiB from the GPU to RAM"),
  mapMs: quantity(2, "from the end of a copy out until its bytes are in RAM"),
  storageBytes: countOr("none", null, "storage below the RAM"),
  storageOpMs: quantity(5, "cost of each read from storage and each write to it"),
  storageReadMsPerMiB: quantity(5, "cost of each MiB from storage to RAM"),
  storageWriteMsPerMiB: quantity(10, "cost of each MiB from RAM to storage"),
  loadPolicy: choice(["auto", "always"], "whether what is sooner computed is loaded all the same"),
  loadAdmission: choice(["reserved", "counted", "unbounded"], "what bounds requests that load"),
  timeScale: quantity(1, "stretches the time between arrivals"),
  numRequests: countOr("all", null, "requests of the trace to replay"),
} as const satisfies Record<string, OptionKind<number | boolean | string | null>>;

type Kinds = typeof KINDS;

/** Every setting of a simulation; `null` is no limit, or what the trace and the example model say. */
export type SimulatorOptions = {
  readonly [Name in keyof Kinds]: Kinds[Name] extends OptionKind<infer T> ? T : never;
};

export const DEFAULT_OPTIONS = Object.fromEntries(
  Object.entries(KINDS).map(([name, { fallback }]) => [name, fallback]),
) as SimulatorOptions;

/**
 * Reads `name=value` arguments over the defaults. Throws `unsupported_parameter` for a name that is no option, with the
 * list of those that are, and `invalid_request` for a value that an option cannot have.
 */
export function parseOptions(args: readonly string[]): SimulatorOptions {
  const given = args.map((arg) => {
    const separator = arg.indexOf("=");
    const [name, text] = separator < 0 ? [arg, ""] : [arg.slice(0, separator), arg.slice(separator + 1)];
    if (!Object.hasOwn(KINDS, name)) {
      const names = Object.keys(KINDS).join(", ");
      throw new CairnError("unsupported_parameter", `There is no option ${name}. Options: ${names}.`, { param: name });
    }
    const { words, parse } = KINDS[name as keyof Kinds];
    const value = parse(text);
    if (value === undefined) {
      throw new CairnError("invalid_request", `${name} must be ${words}, not "${text}".`, { param: name });
    }
    return [name, value];
  });
  return { ...DEFAULT_OPTIONS, ...Object.fromEntries(given) };
}

/** One line an option: its name with the default, and what it means. */
export function describeOptions(): string {
  const lines = Object.entries(KINDS).map(([name, { fallback, words, help }]) => {
    const word = words.split(", or ")[1];
    return `  ${`${name}=${fallback ?? word}`.padEnd(32)}${help}${fallback !== null && word ? `, or ${word}` : ""}`;
  });
  return lines.join("\n");
}
