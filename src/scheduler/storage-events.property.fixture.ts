/** What has to happen often in random runs with a storage tier, or they would prove little. */
const STORAGE_EVENTS = [
  "a promotion",
  "a promotion that fails",
  "a deadline passes while a chunk is read",
  "a hit is cut for want of room in RAM",
  "a load from storage",
  "a load from RAM and storage",
  "a deferral before storage is opened",
  "a write",
  "a write that fails",
  "a queued chunk is lost",
  "a chunk is evicted from RAM while it is written",
  "an abort while a chunk is read",
  "a clear of storage with a read under way",
  "a clear of storage with a write under way",
  "a clear in vain",
  "a clear of RAM with a read under way",
  "a device lost with a read under way",
  "storage opens again",
  "storage is off with a read under way",
  "storage is full",
] as const;

export type StorageEvent = (typeof STORAGE_EVENTS)[number];

export class StorageEvents {
  readonly counts = new Map<StorageEvent, number>(STORAGE_EVENTS.map((event) => [event, 0]));

  count(event: StorageEvent, times = 1): void {
    this.counts.set(event, this.counts.get(event)! + times);
  }
}
