import { vi } from "vitest";
import { promised } from "../../testing/block-rows";

const error = (name: string, message = "injected") => new DOMException(message, name);

interface FakeTransaction extends IDBTransaction {
  readonly _requests: unknown[];
  _execRequestAsync(work: { source: IDBObjectStore; operation: () => never }): IDBRequest;
  _abort(name: string): void;
}

/** The next `times` requests of a kind fail as the browser lets them fail; those of keys that contain `key`, where it is given. */
export function failRequests(method: "put" | "get" | "delete", name: string, times = 1, key = ""): void {
  const original = IDBObjectStore.prototype[method] as (...args: unknown[]) => IDBRequest;
  let left = times;
  vi.spyOn(IDBObjectStore.prototype, method).mockImplementation(function (this: IDBObjectStore, ...args: unknown[]) {
    if (left === 0 || this.name !== "blocks" || !String(args.at(-1)).includes(key)) return original.apply(this, args);
    left -= 1;
    const operation = () => {
      throw error(name);
    };
    return (this.transaction as FakeTransaction)._execRequestAsync({ source: this, operation });
  });
}

/**
 * The next commits are aborts with an error of the transaction. Without answers its requests hear nothing of it, as in Chromium when
 * there is no more room.
 */
export function failCommits(name: string, times = 1, { hasAnswers = true } = {}): void {
  const { commit } = IDBTransaction.prototype;
  let left = times;
  vi.spyOn(IDBTransaction.prototype, "commit").mockImplementation(function (this: IDBTransaction) {
    if (left-- <= 0) {
      commit.call(this);
      return;
    }
    const tx = this as FakeTransaction;
    if (!hasAnswers) tx._requests.length = 0;
    tx._abort(name);
  });
}

/** The next opens fail, or never answer. */
export function failOpens(
  failure: { name: string; message?: string } | "hang",
  times = 1,
): { readonly numOpens: number } {
  const original = indexedDB.open;
  const seen = { numOpens: 0 };
  vi.spyOn(indexedDB, "open").mockImplementation(function (this: IDBFactory, name, version) {
    seen.numOpens += 1;
    if (seen.numOpens > times) return original.call(this, name, version);
    const request = new IDBOpenDBRequest();
    if (failure !== "hang") {
      Object.assign(request, { readyState: "done", error: error(failure.name, failure.message) });
      setImmediate(() => request.dispatchEvent(new IDBVersionChangeEvent("error")));
    }
    return request;
  });
  return seen;
}

/** The connections that the code under test opens from now on. `onOpen` runs when one was asked for, and before it is there. */
export function watchConnections(onOpen: () => void = () => {}): IDBDatabase[] {
  const connections: IDBDatabase[] = [];
  const original = indexedDB.open;
  vi.spyOn(indexedDB, "open").mockImplementation(function (this: IDBFactory, name, version) {
    const request = original.call(this, name, version);
    request.addEventListener("success", () => connections.push(request.result));
    onOpen();
    return request;
  });
  return connections;
}

/** Another page of the app's next version, which has changed the database. */
export async function openForeignVersion(): Promise<void> {
  const db = await promised(indexedDB.open("cairn-kv", 2));
  db.close();
}
