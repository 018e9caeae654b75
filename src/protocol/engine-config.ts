/** Every switch and size of the engine. `createEngine({ engine: { ... } })` overrides any of them by name. */
export interface EngineConfig {
  /** Requests in one batch; rows of the step state on the GPU. */
  readonly maxNumRunning: number;
  /** Token budget of a step. */
  readonly maxNumBatchedTokens: number;
  /** Longest prefill chunk of one request in a step, in tokens; null leaves it to the token budget. */
  readonly maxPrefillChunkTokens: number | null;
  /** Steps that are submitted before the ids of the first of them are read back, 1 to 4; 1 switches async scheduling off. */
  readonly maxInFlightSteps: number;
  /** Take blocks of KV that an earlier prompt or answer with the same beginning left, and leave some. */
  readonly usePrefixCache: boolean;
  /** Share of the KV cache, 0 to 1, that a new request leaves free for the growth of those that run. */
  readonly admissionWatermark: number;
  /** Keep copies of KV blocks in RAM, so that what leaves the GPU is loaded and not computed again. Needs the prefix cache. */
  readonly useHostCache: boolean;
  /** Most bytes of RAM for these copies; null: an eighth of the device's memory, at most 1 GiB, 512 MiB where it is unknown. */
  readonly hostCacheBytes: number | null;
  /**
   * How these copies, and those in storage, are kept. "int8": about half the bytes of an f16 KV cache, a quarter of an f32 one; K and V
   * come back to within 1/254 of their vector's largest magnitude, so an answer may differ from one whose prompt was computed.
   */
  readonly offloadEncoding: "exact" | "int8";
  /** When blocks are copied to RAM: as soon as they are computed, or before they are evicted, preempted, or given back at a request's end. */
  readonly offloadPolicy: "storeOnCompute" | "storeOnEvict" | "storeOnPreempt" | "storeOnFinish";
  /** Copy only what so many prompts have contained; 1 copies everything. */
  readonly storeThreshold: number;
  /** Which copies go first when the RAM is full. */
  readonly hostEvictionPolicy: "lru" | "arc";
  /** Keep copies of KV blocks in the browser's storage, so that they outlive the page. Needs the copies in RAM. */
  readonly useStorage: boolean;
  /** Most bytes of KV there, of all models of the namespace; null: 2 GiB, or half of what is free if that is less. */
  readonly storageBytes: number | null;
  /** KV that nobody used for so many milliseconds is deleted there. */
  readonly storageTtlMs: number;
  /**
   * "auto": their bytes are in a file of the origin's private file system where several tabs can have it open (Chromium's dedicated
   * workers), else in IndexedDB. "indexeddb": always there. IndexedDB says in any case what is kept.
   */
  readonly storageBackend: "auto" | "indexeddb";
  /**
   * "auto": KV that another tier has is loaded or computed, whichever is sooner by what was measured, and waited for only as long as computing
   * it would take, 2 s at most. "always": it is loaded, and waited for up to 30 s.
   */
  readonly loadPolicy: "auto" | "always";
  /** Most bytes of KV that one step moves between the GPU and RAM. */
  readonly maxTransferBytesPerStep: number;
  /** Copies to RAM that may be under way at once, each in a buffer of its own. */
  readonly numStagingSlots: number;
  /** Bytes of the KV cache; null takes what fits beside the weights. */
  readonly kvCacheBytes: number | null;
  /** Bytes that weights, KV cache and buffers may take together; null asks the device's limits only. */
  readonly gpuMemoryBytes: number | null;
  /** Weights are streamed to the GPU in pieces of at most this many bytes. */
  readonly maxPieceBytes: number;
  /** Long steps are cut into submits of about this length, so that the page stays responsive. */
  readonly submitTargetMs: number;
  /** When the GPU device is lost, another is set up and requests go on; so many losses within five minutes end the engine. 1: the first does. */
  readonly maxDeviceLosses: number;
  /** Use 16-bit float arithmetic where the device has it. */
  readonly useF16: boolean;
  /** Use subgroup operations where the device has them. */
  readonly useSubgroups: boolean;
  /** Compare every kernel with known answers at the first load on a device, and switch off what computes wrong results. */
  readonly useSelfTest: boolean;
  /** Norm and the matmul behind it in one kernel. */
  readonly useFusedNorm: boolean;
  /** Matmuls over at most this many tokens take the GEMV kernel; 0 switches it off. */
  readonly useGemvUpToTokens: number;
  /** Time every kernel on the GPU; shown as a track of the browser's performance panel. Slower: one pass a dispatch. */
  readonly profile: boolean;
}
