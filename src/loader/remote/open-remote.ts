import { CairnError } from "../../util/errors";
import type { OpenedFile } from "../file-source";
import { toReadError } from "../read-errors";
import { backoffMs, discardBody, fetchRetrying, type RetryPolicy, sleep } from "./fetch-retrying";
import { type RemoteFile, validatorOf } from "./remote";

export interface OpenRemoteOptions {
  /** Position of the first byte wanted. */
  readonly start?: number;
  /** Position after the last byte wanted; the file's end unless given. */
  readonly end?: number;
  readonly retry: RetryPolicy;
  readonly signal?: AbortSignal;
}

export interface OpenedRemote extends OpenedFile {
  /** ETag, else Last-Modified: other ones mean other bytes. Null where the server shows neither. */
  readonly validator: string | null;
}

/**
 * Opens a file on the network. A body that breaks off is gone on with by a new request, as long as each brings something.
 * A server that ignores ranges sends the file from its beginning. Throws what the file's `refusalOf` says, `network`, `aborted`.
 */
export async function openRemote(remote: RemoteFile, options: OpenRemoteOptions): Promise<OpenedRemote> {
  const first = await request(remote, options.start ?? 0, options, false);
  const body = new ReadableStream(new ResumingBody(remote, options, first), { highWaterMark: 0 });
  return { ...first, body };
}

async function request(
  remote: RemoteFile,
  start: number,
  { end, retry, signal }: OpenRemoteOptions,
  isInterrupted: boolean,
): Promise<OpenedRemote> {
  const isPart = start > 0 || end !== undefined;
  const range = { range: `bytes=${start}-${end === undefined ? "" : end - 1}` };
  // What is kept is kept by us: the browser's own cache would only hold it twice.
  const init: RequestInit = { headers: { ...remote.headers, ...(isPart && range) }, cache: "no-store" };
  const response = await fetchRetrying(remote.url, { init, file: remote.file, retry, signal, isInterrupted });
  const refusal = remote.refusalOf(response);
  if (!refusal) return opened(response, start);
  await discardBody(response);
  if (isPart && response.status === 416) return { ...opened(response, start), body: new Blob().stream() };
  throw refusal;
}

function opened(response: Response, start: number): OpenedRemote {
  const { status, headers } = response;
  const body = response.body ?? new Blob().stream();
  const validator = validatorOf(response);
  if (status !== 200) {
    // Content-Range may be hidden from other origins; the range is then taken to be the one asked for.
    const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
    const totalBytes = match && match[2] !== "*" ? Number(match[2]) : null;
    return { totalBytes, bodyOffset: match?.[1] === undefined ? start : Number(match[1]), body, validator };
  }
  // With a content encoding, Content-Length counts compressed bytes.
  const length = headers.has("content-encoding") ? null : headers.get("content-length");
  return { totalBytes: length === null ? null : Number(length), bodyOffset: 0, body, validator };
}

/** The bytes of one body, whatever number of answers they take. */
class ResumingBody implements UnderlyingDefaultSource<Uint8Array> {
  readonly #remote: RemoteFile;
  readonly #options: OpenRemoteOptions;
  readonly #first: OpenedRemote;
  /** Position after the last byte that is to come; null where it is not known. */
  readonly #end: number | null;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Position of the next byte that the answer sends. */
  #received: number;
  /** Position of the next byte to give on. */
  #position: number;
  #numBreaks = 0;

  constructor(remote: RemoteFile, options: OpenRemoteOptions, first: OpenedRemote) {
    this.#remote = remote;
    this.#options = options;
    this.#first = first;
    const total = remote.size ?? first.totalBytes;
    this.#end = total === null ? null : Math.min(options.end ?? total, total);
    this.#reader = first.body.getReader();
    this.#received = this.#position = first.bodyOffset;
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      try {
        const { done, value } = await this.#reader.read();
        if (value) {
          const numKnown = this.#position - this.#received;
          this.#received += value.length;
          if (this.#received <= this.#position) continue;
          this.#position = this.#received;
          this.#numBreaks = 0;
          controller.enqueue(value.subarray(numKnown));
          return;
        }
        if (done && (this.#end === null || this.#position >= this.#end)) {
          controller.close();
          return;
        }
        await this.#resume(new Error(`it ended at byte ${this.#position} of ${this.#end}`));
      } catch (thrown) {
        await this.#resume(thrown);
      }
    }
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => undefined);
  }

  async #resume(failure: unknown): Promise<void> {
    const { file, sha256 } = this.#remote;
    const { retry, signal } = this.#options;
    if (failure instanceof CairnError || signal?.aborted || this.#numBreaks === retry.maxRetries) {
      throw toReadError(failure, file, signal);
    }
    await this.cancel();
    await sleep(backoffMs(retry, this.#numBreaks++), signal);
    const next = await request(this.#remote, this.#position, this.#options, true);
    this.#reader = next.body.getReader();
    this.#received = next.bodyOffset;
    if (next.bodyOffset <= this.#position && (sha256 || next.validator === this.#first.validator)) return;
    await this.cancel();
    throw new CairnError("network", `"${file}" changed while it was read.`, { file });
  }
}
