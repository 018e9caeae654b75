import type { Logprobs } from "../sampling/sampling-params";
import type { CairnError } from "../util/errors";

/** What a processed step means for one request; requests with nothing new have none. */
export interface RequestUpdate {
  readonly requestId: string;
  /** Ids that became known. An EOS id that ended the request is among them: it counts as generated, but is no text. */
  readonly newTokenIds: readonly number[];
  /** One for each of `newTokenIds`, where the request asked for them. */
  readonly newLogprobs: readonly Logprobs[];
  /** The last of `newTokenIds` is an EOS id. */
  readonly endsWithEos: boolean;
  /** Null while the request goes on. */
  readonly finishReason: "stop" | "length" | "error" | null;
  /** Set exactly when `finishReason` is "error". */
  readonly error: CairnError | null;
}
