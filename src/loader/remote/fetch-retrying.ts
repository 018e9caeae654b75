import { throwIfAborted, toReadError } from "../read-errors";

export interface RetryPolicy {
  readonly maxRetries: number;
  /** Before the first retry, doubled before each further one. */
  readonly delayMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { maxRetries: 6, delayMs: 500 };

/** A server that asks for more patience than this is asked again sooner. */
const MAX_RETRY_AFTER_MS = 60_000;

export interface FetchOptions {
  readonly init?: RequestInit;
  /** The file that is wanted, for errors. */
  readonly file: string;
  readonly retry: RetryPolicy;
  readonly signal: AbortSignal | undefined;
  /** Try again also where no server answers. */
  readonly isInterrupted?: boolean;
}

/**
 * Fetches, again after a while where the server is overloaded or broken (408, 429, 5xx). Resolves with the last answer,
 * whatever its status. Throws `network` or `aborted`.
 */
export async function fetchRetrying(url: string, options: FetchOptions): Promise<Response> {
  const { init, file, retry, signal, isInterrupted } = options;
  for (let numRetries = 0; ; numRetries++) {
    throwIfAborted(signal);
    const isLast = numRetries === retry.maxRetries;
    let waitMs = backoffMs(retry, numRetries);
    try {
      const response = await fetch(url, { ...init, signal });
      if (isLast || !isTransient(response.status)) return response;
      waitMs = retryAfterMs(response) ?? waitMs;
      await discardBody(response);
    } catch (thrown) {
      if (isLast || !isInterrupted || signal?.aborted) throw toReadError(thrown, file, signal);
    }
    await sleep(waitMs, signal);
  }
}

export function backoffMs({ delayMs }: RetryPolicy, numRetries: number): number {
  return delayMs * 2 ** numRetries;
}

/** Resolves at once when `signal` aborts. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, signal?.aborted ? 0 : ms);
    signal?.addEventListener("abort", wake);
  });
}

/** The answer's text is of no use; its connection is. */
export async function discardBody(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

function isTransient(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** Retry-After: seconds, or a date. */
function retryAfterMs({ headers }: Response): number | null {
  const text = headers.get("retry-after");
  if (!text) return null;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
