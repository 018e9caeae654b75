/** Every way in which Cairn can fail, as a stable code. Codes are public: they are documented and never change meaning. */
export type ErrorCode =
  // The request
  | "invalid_request" // a field is missing, has a wrong type or an impossible value; data: { param }
  | "unsupported_parameter" // a field that Cairn does not know or does not support; data: { param }
  | "model_not_found" // the request names another model than the loaded one; data: { model, available }
  | "context_length_exceeded" // data: { numPromptTokens, maxModelLen }
  | "cache_too_small" // the request can never fit the KV cache; data: { numBlocksNeeded, numBlocks }
  | "aborted" // the caller's signal; `name` is "AbortError"
  | "numerical" // the model produced NaN or infinity; data: { position }
  // The model
  | "model_file_missing" // data: { file, status? }; where a hub has no such model { repo, revision, status }
  | "network" // a file could not be fetched; data: { file, status? }
  | "gated_model" // the hub wants a token that may read this model; data: { repo, status, hasToken }
  | "integrity" // a file arrived damaged twice, or is another one when it is read again; data: { file, expected, actual }, SHA-256 in hex or sizes in bytes
  | "busy" // the model is being loaded, here or in another tab; data: { key }
  | "invalid_config" // config.json is not usable; data: { field, value? }
  | "invalid_tokenizer" // data: { file }
  | "invalid_safetensors" // a truncated or lying header; data: { file, reason }
  | "tensor_missing" // data: { tensor }
  | "tensor_shape" // data: { tensor, expected, actual }
  | "unsupported_architecture" // data: { modelType }
  | "unsupported_dtype" // data: { tensor, dtype }
  | "chat_template" // the model has no chat template, it raised, or took too much work; data: { reason }
  // The device
  | "no_webgpu" // this browser (or worker) has no WebGPU
  | "no_adapter" // WebGPU is there, but no adapter answers the request
  | "out_of_memory" // data: { neededBytes, availableBytes, ... }
  | "device_limit" // the model needs more than a limit of the device; data: { limit, needed, available }
  | "device_lost" // while it loads, or too often since; data: { reason, numLosses? }
  | "device_incorrect" // the GPU computes wrong results, however the kernels are compiled; data: { kernel, error }
  | "gpu_error" // a shader or an API call was refused; always our fault; data: { label }
  // Saved sessions
  | "session_missing" // no session is saved under this id; data: { id }
  | "invalid_session" // what is saved is damaged, of another version, or not for this model; data: { id, reason }
  | "storage_failed" // the browser's storage; data: { reason }, "quota", "unavailable", "timeout" or "unknown"
  // The engine
  | "disposed" // used after dispose(), or a session after destroy()
  | "worker_failed" // the worker could not be started, died, or did not answer for 30 s; data: { reason, url? }
  | "internal"; // a broken invariant; always our fault

export type ErrorData = Readonly<Record<string, unknown>>;

/** What an error looks like on the wire between threads: plain data that structured clone keeps whole. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly data: ErrorData;
  readonly stack?: string;
}

/** The one error class of the public API. `code` says what happened, `data` holds the numbers, `message` says both in words. */
export class CairnError extends Error {
  readonly code: ErrorCode;
  readonly data: ErrorData;

  constructor(code: ErrorCode, message: string, data: ErrorData = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = code === "aborted" ? "AbortError" : "CairnError";
    this.code = code;
    this.data = data;
  }

  static fromWire(wire: WireError): CairnError {
    const error = new CairnError(wire.code, wire.message, wire.data);
    if (wire.stack) error.stack = wire.stack;
    return error;
  }
}

/** Any thrown value as plain data; what is not a CairnError becomes `internal` with its message kept. */
export function toWireError(thrown: unknown): WireError {
  if (thrown instanceof CairnError) {
    return { code: thrown.code, message: thrown.message, data: thrown.data, stack: thrown.stack };
  }
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return { code: "internal", message: error.message, data: { name: error.name }, stack: error.stack };
}

/** What a thrown value says, in words. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Throws an `internal` error unless an invariant holds. The message is only built on failure. */
export function assert(condition: unknown, message: string | (() => string)): asserts condition {
  if (!condition) throw new CairnError("internal", typeof message === "string" ? message : message());
}
