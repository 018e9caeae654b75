import type { Profiler } from "../gpu/profiler";
import type { openCacheApi } from "../loader/cache/cache-api-store";
import type { Downloader } from "../loader/cache/downloader";
import type { Quantization } from "../models/quantization";
import type { ArcPolicy } from "../offload/arc-policy";
import type { openStorage } from "../offload/storage/open-storage";
import type { StorageConnection } from "../offload/storage/storage-connection";
import type { PartName } from "../protocol/messages";
import type { Int8Pages } from "../runner/int8-pages";
import type { LogitStages } from "../runner/logit-stages";
import type { JudgeDevice } from "../runner/self-test/judge-device";
import type { drawStep } from "../runner/step-trace";
import type { Grammars } from "../sampling/grammar/grammars";
import type { Vocabulary } from "../sampling/grammar/vocabulary";

/** Parts of the engine that are loaded only where they are needed. */
export interface LazyParts {
  readonly selfTest: JudgeDevice;
  readonly download: Downloader;
  readonly cacheApi: typeof openCacheApi;
  readonly quantization: Quantization;
  readonly storage: StoragePart;
  readonly logitStages: typeof LogitStages;
  readonly arc: typeof ArcPolicy;
  readonly int8: typeof Int8Pages;
  readonly grammar: (vocabulary: Vocabulary) => Promise<Grammars>;
  readonly profiler: { readonly Profiler: typeof Profiler; readonly drawStep: typeof drawStep };
}

/** The storage tier, and a way to start a store for it. */
export interface StoragePart {
  readonly openStorage: typeof openStorage;
  /** May throw. */
  readonly connect: () => StorageConnection;
}

/** Rejects where the part cannot be had. */
export type LoadPart = <Name extends PartName>(name: Name) => Promise<LazyParts[Name]>;
