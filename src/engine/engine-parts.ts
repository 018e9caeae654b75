import type { KvGeometry } from "../kv/geometry";
import type { Connector } from "../offload/connector";
import type { StorageBooks } from "../offload/storage/storage-books";
import type { StorageOpExecutor } from "../offload/storage/storage-executor";
import type { EngineInfo } from "../protocol/messages";
import type { Scheduler } from "../scheduler/scheduler";
import type { ChatTemplate } from "../tokenizer/chat-template";
import type { Tokenizer } from "../tokenizer/tokenizer";
import type { Constrain } from "./constrain";
import type { RecoveryParts } from "./recovery";

/** The storage tier, as the step loop drives it: it settles and pumps the books, and is woken by what carries them out. */
export interface StorageControl {
  readonly books: Pick<StorageBooks, "settle" | "pump" | "hasWork" | "isClearing">;
  readonly executor: Pick<StorageOpExecutor, "onResults" | "flush" | "close">;
}

/** The parts that an engine is composed of; load-engine.ts makes them, tests make some of them of plain values. */
export interface EngineParts extends RecoveryParts {
  readonly info: EngineInfo;
  readonly scheduler: Scheduler;
  readonly geometry: KvGeometry;
  /** The scheduler's connector, and the memory that it fills; null where KV is not offloaded. */
  readonly offload: {
    readonly connector: Connector;
    readonly memory: { readonly bytes: number };
    /** Null where KV is not kept beyond the page. */
    readonly storage?: StorageControl | null;
  } | null;
  readonly tokenizer: Tokenizer;
  /** Null where the model's files hold none; such a model continues text, but does not chat. */
  readonly chatTemplate: ChatTemplate | null;
  /** Ids that end a text: the config's, and the chat template's end of turn. */
  readonly eosTokenIds: readonly number[];
  /** From generation_config.json; null where it says nothing. */
  readonly samplingDefaults: Readonly<
    Record<"temperature" | "topK" | "topP" | "minP" | "repetitionPenalty", number | null>
  >;
  readonly maxModelLen: number;
  readonly constrain: Constrain;
  /** See loader/weights-hash.ts. */
  readonly weightsHash: string;
}
