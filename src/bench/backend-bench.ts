import type { ChunkToWrite, StorageApi, StorageOptions } from "../offload/storage/storage-api";
import { type StorageConnection, startStorageWorker } from "../offload/storage/storage-connection";
import { maxChunksPerOp } from "../offload/storage/storage-op";
import storeUrl from "../worker/storage-worker?worker&url";
import { median } from "./statistics";

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const RECORD_BYTES = [32 * KIB, 128 * KIB, 512 * KIB, 2 * MIB];
/** That are written, and then read, by each backend in each repeat. */
const REPEAT_BYTES = 48 * MIB;
const TOKENS_PER_RECORD = 64;

type Backend = StorageOptions["backend"];
const BACKENDS: readonly Backend[] = ["indexeddb", "auto"];

/** Of one backend: medians over calls of as many records as the engine writes and reads at once, of which each is timed alone. */
export interface BackendRates {
  readonly writeMsPerRecord: number;
  readonly readMsPerRecord: number;
}

export interface BackendBenchResult {
  readonly recordBytes: number;
  readonly rates: Readonly<Record<Backend, BackendRates>>;
}

/** One backend's store, in a worker of its own as the engine has it, and the milliseconds a record of its calls. */
interface Contestant {
  readonly connection: StorageConnection;
  readonly writeMs: number[];
  readonly readMs: number[];
  clearEpoch: number;
}

/**
 * The storage tier's store with each backend, through all that the engine goes through: buffers that are transferred, checksums,
 * transactions, rows. The backends take turns call by call, so that whatever else the machine does hits them alike.
 */
export async function benchBackends(repeats: number): Promise<BackendBenchResult[]> {
  const results: BackendBenchResult[] = [];
  for (const recordBytes of RECORD_BYTES) results.push(await compare(recordBytes, repeats));
  return results;
}

async function compare(recordBytes: number, repeats: number): Promise<BackendBenchResult> {
  const [indexeddb, auto] = await Promise.all(BACKENDS.map((backend) => start(backend, recordBytes)));
  const batchSize = maxChunksPerOp(recordBytes);
  const numBatches = Math.ceil(REPEAT_BYTES / recordBytes / batchSize);
  let buffers: readonly ArrayBuffer[] = Array.from({ length: batchSize }, () => randomBytes(recordBytes));
  for (let repeat = 0; repeat < repeats; repeat++) {
    const batches = Array.from({ length: numBatches }, (_, batch) => `${repeat}-${batch}`);
    for (const batch of batches) {
      for (const one of [indexeddb, auto]) buffers = await write(one, chunksOf(batch, buffers));
    }
    for (const batch of batches) {
      for (const one of [indexeddb, auto]) await read(one, chunksOf(batch, buffers));
    }
    for (const one of [indexeddb, auto]) one.clearEpoch = (await one.connection.api.clear()).clearEpoch;
  }
  for (const { connection } of [indexeddb, auto]) connection.close();
  return { recordBytes, rates: { indexeddb: ratesOf(indexeddb), auto: ratesOf(auto) } };
}

async function start(backend: Backend, chunkBytes: number): Promise<Contestant> {
  const connection = startStorageWorker(storeUrl);
  const limits = { chunkBytes, maxBytes: 2 * REPEAT_BYTES, ttlMs: 24 * 3_600_000 };
  const options = { namespace: `bench ${backend}`, fingerprint: "b".repeat(32), ...limits, backend };
  const { index, fault } = await connection.api.open(options);
  if (!index) throw new Error(`a store does not open: ${fault?.message}`);
  return { connection, writeMs: [], readMs: [], clearEpoch: index.clearEpoch };
}

/** The buffers come back. */
async function write({ connection, clearEpoch, writeMs }: Contestant, chunks: readonly ChunkToWrite[]) {
  const result = await timed(writeMs, chunks.length, () => connection.api.write(clearEpoch, chunks));
  if (result.written.length < chunks.length) throw new Error(`a write failed: ${result.fault?.message}`);
  return result.buffers;
}

async function read({ connection, readMs }: Contestant, chunks: readonly ChunkToWrite[]): Promise<void> {
  const asked: Parameters<StorageApi["read"]>[0] = chunks.map(({ key, header }) => ({ key, header }));
  const result = await timed(readMs, chunks.length, () => connection.api.read(asked));
  if (result.chunks.includes(null)) throw new Error(`a read failed: ${result.fault?.message}`);
}

async function timed<T>(msPerRecord: number[], numRecords: number, call: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  const result = await call();
  msPerRecord.push((performance.now() - startMs) / numRecords);
  return result;
}

function ratesOf({ writeMs, readMs }: Contestant): BackendRates {
  return { writeMsPerRecord: median(writeMs), readMsPerRecord: median(readMs) };
}

function chunksOf(batch: string, buffers: readonly ArrayBuffer[]): ChunkToWrite[] {
  const tokenIds = Array.from({ length: TOKENS_PER_RECORD }, (_, i) => i);
  return buffers.map((bytes, i) => ({ key: `0/${batch}-${i}`, header: { parent: null, tokenIds }, bytes }));
}

/** They compress no better than KV does. */
function randomBytes(numBytes: number): ArrayBuffer {
  const bytes = new Uint8Array(numBytes);
  const step = 32 * KIB;
  for (let start = 0; start < numBytes; start += step) crypto.getRandomValues(bytes.subarray(start, start + step));
  return bytes.buffer;
}
