export interface DownloadedBytes {
  /** The file that brought the last bytes. */
  readonly file: string;
  /** Of all files together; what was there from an earlier visit counts. */
  readonly loaded: number;
  readonly total: number;
  /** Over the last seconds; what was there already does not count. */
  readonly bytesPerSecond: number;
}

const REPORT_EVERY_MS = 100;
const RATE_WINDOW_MS = 3_000;

/** Sums up the downloads of several files and tells of them, ten times a second at most, and when all is there. A file of unknown size counts as far as it is there. */
export class DownloadProgress {
  readonly #report: ((bytes: DownloadedBytes) => void) | undefined;
  readonly #now: () => number;
  readonly #files = new Map<string, { loaded: number; total: number | null }>();
  /** What came from the network by then, oldest first. */
  #samples: { readonly ms: number; readonly bytes: number }[] = [];
  #received = 0;
  #reportedMs = Number.NEGATIVE_INFINITY;

  constructor(report: ((bytes: DownloadedBytes) => void) | undefined, now: () => number) {
    this.#report = report;
    this.#now = now;
  }

  /** So much of a file is there, and no more; also when it begins anew. */
  set(file: string, loaded: number, total: number | null): void {
    this.#files.set(file, { loaded, total });
  }

  /** So much more of it came from the network. */
  add(file: string, numBytes: number): void {
    const entry = this.#files.get(file);
    if (!entry) return;
    entry.loaded += numBytes;
    this.#received += numBytes;
    const { loaded, total, isEnd } = this.#sums();
    const ms = this.#now();
    if (ms - this.#reportedMs < REPORT_EVERY_MS && !isEnd) return;
    this.#reportedMs = ms;
    this.#samples = [
      ...this.#samples.filter((sample) => ms - sample.ms <= RATE_WINDOW_MS),
      { ms, bytes: this.#received },
    ];
    this.#report?.({ file, loaded, total, bytesPerSecond: this.#rate(ms) });
  }

  #rate(ms: number): number {
    const [first] = this.#samples;
    return ms > first.ms ? ((this.#received - first.bytes) / (ms - first.ms)) * 1000 : 0;
  }

  #sums(): { readonly loaded: number; readonly total: number; readonly isEnd: boolean } {
    let loaded = 0;
    let total = 0;
    let isEnd = true;
    for (const file of this.#files.values()) {
      loaded += file.loaded;
      total += Math.max(file.loaded, file.total ?? 0);
      isEnd &&= file.total !== null && file.loaded >= file.total;
    }
    return { loaded, total, isEnd };
  }
}
