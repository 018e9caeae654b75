/** Bytes of a file, from `start` to before `end`. */
export type Run = readonly [start: number, end: number];

/** Where a record's bytes are, in their order. */
export type Place = readonly Run[];

/** Which bytes of a namespace's file are no record's: those of the runs, which are in order and do not touch, and all from `end` on. */
export interface FileSpaceRow {
  readonly end: number;
  readonly free: readonly Run[];
}

/**
 * A file's space within one transaction. What is given back there is not taken there: should the transaction be aborted, it is still
 * the place of a record, and must hold its bytes.
 */
export class FileSpace {
  #end: number;
  readonly #free: Run[];
  readonly #given: Run[] = [];
  #isChanged = false;

  /** `row`: as it was found; a file of which nothing is known is all free. */
  constructor(row: unknown) {
    const { end, free } = isSpace(row) ? row : { end: 0, free: [] };
    this.#end = end;
    this.#free = [...free];
  }

  /** Behind it no bytes are a record's. */
  get end(): number {
    return this.#end;
  }

  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** The first bytes that are free; in one run, unless those before the end lie apart. */
  take(numBytes: number): Place {
    const place: Run[] = [];
    for (let left = numBytes; left > 0; ) {
      const [start, end] = this.#free.shift() ?? [this.#end, this.#end + left];
      const taken = Math.min(left, end - start);
      place.push([start, start + taken]);
      if (start + taken < end) this.#free.unshift([start + taken, end]);
      this.#end = Math.max(this.#end, end);
      left -= taken;
    }
    this.#isChanged = true;
    return place;
  }

  /** No record lies there any more. */
  give(place: Place): void {
    if (place.length === 0) return;
    this.#given.push(...place.filter(isRun));
    this.#isChanged = true;
  }

  /** As it is to be put. */
  toRow(): FileSpaceRow {
    const free: Run[] = [];
    for (const [start, end] of [...this.#free, ...this.#given].sort((a, b) => a[0] - b[0])) {
      const last = free.at(-1);
      if (last && start <= last[1]) free[free.length - 1] = [last[0], Math.max(last[1], end)];
      else free.push([start, end]);
    }
    const last = free.at(-1);
    if (!last || last[1] < this.#end) return { end: this.#end, free };
    return { end: last[0], free: free.slice(0, -1) };
  }
}

/** What is free around these runs of records. */
export function spaceAround(taken: Place): FileSpaceRow {
  const free: Run[] = [];
  let position = 0;
  for (const [start, end] of taken.filter(isRun).sort((a, b) => a[0] - b[0])) {
    if (start > position) free.push([position, start]);
    position = Math.max(position, end);
  }
  return { end: position, free };
}

/** Whether it is what we write, and not something that another put there. */
function isSpace(row: unknown): row is FileSpaceRow {
  const { end, free } = (row ?? {}) as Partial<FileSpaceRow>;
  return Number.isSafeInteger(end) && Array.isArray(free) && free.every(isRun);
}

function isRun(run: unknown): run is Run {
  return Array.isArray(run) && run.every(Number.isSafeInteger) && run[0] >= 0 && run[0] < run[1];
}
