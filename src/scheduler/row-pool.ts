import { assert } from "../util/errors";

interface LeavingRow {
  readonly row: number;
  /** The newest step that names the row. */
  readonly lastStepIndex: number;
}

/**
 * Rows of the GPU's step state and of the block tables. A row is one life of a request: taken at admission, leaving when
 * that life has ended, free again when the last step that names it was processed.
 */
export class RowPool {
  readonly #numRows: number;
  /** The one to be taken next is the last. */
  readonly #free: number[];
  #leaving: LeavingRow[] = [];

  constructor(numRows: number) {
    this.#numRows = numRows;
    this.#free = Array.from({ length: numRows }, (_, i) => numRows - 1 - i);
  }

  get numFree(): number {
    return this.#free.length;
  }

  /** In the order in which they were left. */
  get leaving(): readonly number[] {
    return this.#leaving.map(({ row }) => row);
  }

  take(): number {
    const row = this.#free.pop();
    assert(row !== undefined, "no row is free");
    return row;
  }

  leave(row: number, lastStepIndex: number): void {
    this.#leaving.push({ row, lastStepIndex });
  }

  /** Frees the leaving rows that no step from `firstUnprocessedStep` on names; returns them in the order of leaving. */
  freeProcessed(firstUnprocessedStep: number): number[] {
    const isDone = ({ lastStepIndex }: LeavingRow) => lastStepIndex < firstUnprocessedStep;
    const freed = this.#leaving.filter(isDone).map(({ row }) => row);
    this.#leaving = this.#leaving.filter((leaving) => !isDone(leaving));
    this.#free.push(...freed);
    return freed;
  }

  /** Throws `internal` unless each row is either free, leaving, or one of `running`. */
  checkIntegrity(running: readonly number[]): void {
    const rows = [...this.#free, ...this.leaving, ...running].sort((a, b) => a - b);
    const isEachOnce = rows.length === this.#numRows && rows.every((row, i) => row === i);
    assert(isEachOnce, () => `rows are lost or shared: ${rows} of ${this.#numRows}`);
  }
}
