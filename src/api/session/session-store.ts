import { type IDBPDatabase, type IDBPObjectStore, openDB } from "idb";
import { CairnError, reasonOf } from "../../util/errors";
import type { ChatMessageParam } from "../openai-types";
import type { SavedSession, SessionOptions } from "./session-types";

export const DATABASE_NAME = "cairn-sessions";
const STORE_NAME = "sessions";
/** Never raised: a record says its format. */
const VERSION = 1;
const FORMAT = 1;
/** A browser may leave an open unanswered for ever. */
const OPEN_TIMEOUT_MS = 5000;

export interface SessionRecord {
  readonly format: typeof FORMAT;
  readonly modelId: string;
  /** Milliseconds since 1970. */
  readonly savedAt: number;
  readonly messages: readonly ChatMessageParam[];
  /** Without messages. */
  readonly options: SessionOptions;
  readonly numDroppedMessages: number;
}

type RecordKey = [namespace: string, id: string];

/** Resolves when it is on the disk. As the others here, rejects with `storage_failed`. */
export async function writeSession(key: RecordKey, record: Omit<SessionRecord, "format">): Promise<void> {
  await inStore("readwrite", async (store) => {
    await store.put({ format: FORMAT, ...record }, key);
  });
}

/** Rejects with `session_missing`, and with `invalid_session` where the record is not one. */
export async function readSession(key: RecordKey): Promise<SessionRecord> {
  const [, id] = key;
  const record: unknown = await inStore("readonly", (store) => store.get(key));
  if (record === undefined) throw new CairnError("session_missing", `There is no saved session "${id}".`, { id });
  if (!isRecord(record)) throw invalidSession(id, "its record is damaged, or of another version of Cairn");
  return record;
}

/** Of a namespace, in the order of their ids. */
export async function listSessions(namespace: string): Promise<SavedSession[]> {
  const [keys, records] = await inStore("readonly", (store) => {
    const all = IDBKeyRange.bound([namespace], [namespace, []]);
    return Promise.all([store.getAllKeys(all), store.getAll(all)]);
  });
  return (keys as RecordKey[]).map(([, id], index) => ({ id, info: infoOf(records[index]) }));
}

/** No effect where there is none. */
export async function deleteRecord(key: RecordKey): Promise<void> {
  await inStore("readwrite", (store) => store.delete(key));
}

export function invalidSession(id: string, reason: string, options?: ErrorOptions): CairnError {
  return new CairnError(
    "invalid_session",
    `The saved session "${id}" cannot be used: ${reason}.`,
    { id, reason },
    options,
  );
}

function infoOf(record: unknown): SavedSession["info"] {
  if (!isRecord(record)) return null;
  return { modelId: record.modelId, savedAt: record.savedAt, numMessages: record.messages.length };
}

/** What the fields hold is checked where they are used. */
function isRecord(value: unknown): value is SessionRecord {
  const record = value as Partial<SessionRecord> | null | undefined;
  return (
    record?.format === FORMAT &&
    typeof record.modelId === "string" &&
    typeof record.savedAt === "number" &&
    Array.isArray(record.messages) &&
    typeof record.options === "object" &&
    record.options !== null &&
    Number.isSafeInteger(record.numDroppedMessages)
  );
}

/**
 * Runs a transaction to its end: it takes place as a whole or not at all. It has a connection of its own, so that none is in the way of a
 * page that deletes the database.
 */
async function inStore<T, Mode extends IDBTransactionMode>(
  mode: Mode,
  use: (store: IDBPObjectStore<unknown, [typeof STORE_NAME], typeof STORE_NAME, Mode>) => Promise<T>,
): Promise<T> {
  let db: IDBPDatabase | null = null;
  try {
    db = await open();
    const tx = db.transaction(STORE_NAME, mode, { durability: "strict" });
    const [result] = await Promise.all([use(tx.store), tx.done]);
    return result;
  } catch (error) {
    throw toFailure(error);
  } finally {
    db?.close();
  }
}

async function open(): Promise<IDBPDatabase> {
  if (!globalThis.indexedDB) throw new DOMException("There is no IndexedDB here.", "NotSupportedError");
  const opening = openDB(DATABASE_NAME, VERSION, { upgrade: (db) => void db.createObjectStore(STORE_NAME) });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      opening.then((db) => db.close()).catch(() => {});
      reject(new DOMException("The database was not opened in time.", "TimeoutError"));
    }, OPEN_TIMEOUT_MS);
  });
  try {
    return await Promise.race([opening, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** By the name of what the browser threw; whatever else it says is in `message`. */
const REASONS: Readonly<Record<string, string>> = {
  QuotaExceededError: "quota",
  TimeoutError: "timeout",
  NotSupportedError: "unavailable",
  SecurityError: "unavailable",
};

function toFailure(error: unknown): CairnError {
  const reason = (error instanceof Error && REASONS[error.name]) || "unknown";
  const message = `The browser's storage of sessions failed: ${reasonOf(error)}`;
  return new CairnError("storage_failed", message, { reason }, { cause: error });
}
