import type { StorageFault, StorageFaultCode } from "./storage-api";

/** A failure whose code is known where it happens; it never leaves the store. */
export class StorageFailure extends Error {
  readonly code: StorageFaultCode;

  constructor(code: StorageFaultCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** By the name of what the browser threw. */
const CODES: Readonly<Record<string, StorageFaultCode>> = {
  QuotaExceededError: "quota",
  AbortError: "closed",
  InvalidStateError: "closed",
  UnknownError: "closed",
  VersionError: "closed",
};
/** Some browsers say so in private windows, or where storage is switched off. */
const REFUSED_OPENS = new Set(["SecurityError", "InvalidStateError", "NotSupportedError"]);

export function nameOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.name : "";
}

export function isQuotaExceeded(thrown: unknown): boolean {
  return nameOf(thrown) === "QuotaExceededError";
}

/** Whether the connection is of no more use. A browser that closes it aborts what runs. */
export function isConnectionLost(thrown: unknown): boolean {
  return CODES[nameOf(thrown)] === "closed";
}

/** Whether a record's bytes cannot be had any more: their file is missing or damaged. */
export function isRecordLost(thrown: unknown): boolean {
  return nameOf(thrown) === "DataError" || nameOf(thrown) === "NotReadableError";
}

export function toFault(thrown: unknown): StorageFault {
  if (thrown instanceof StorageFailure) return { code: thrown.code, message: thrown.message };
  const code = CODES[nameOf(thrown)] ?? "unknown";
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return { code, message };
}

export function toOpenFailure(thrown: unknown): StorageFailure {
  const { code, message } = toFault(thrown);
  return new StorageFailure(REFUSED_OPENS.has(nameOf(thrown)) ? "unavailable" : code, message);
}
