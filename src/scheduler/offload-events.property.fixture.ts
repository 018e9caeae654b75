/** What has to happen often in random runs with a connector, or they would prove little. */
const OFFLOAD_EVENTS = [
  "a load",
  "a load of blocks of several groups",
  "a load behind a hit on the GPU",
  "a load in several parts",
  "a load that fails",
  "a load that fails after some of it has arrived",
  "a load that is declined",
  "a preempted request loads",
  "a result for a load that is over",
  "a revocation",
  "a second revocation of one request",
  "a finished load runs ahead of a head that waits",
  "an abort while loading",
  "an abort while put off",
  "a deferral: loading",
  "a deferral: pending",
  "a deferral ends by its deadline",
  "a store",
  "a store that fails",
  "a store that lands after its request has ended",
  "a preemption with a store in flight",
  "a cancelled store",
  "a lease outlives its window",
  "a lease outlives its request",
  "a chunk is refused for want of room",
  "a chunk is refused for want of a slot",
  "a chunk is refused for want of sightings",
  "a chunk is evicted from the host tier",
  "a block is stored when it is evicted from the GPU",
  "a clear with a store in flight",
  "a device lost with a job in flight",
  "a device lost while a request loads",
  "a step that only copies",
  "a copy that never ends",
] as const;

export type OffloadEvent = (typeof OFFLOAD_EVENTS)[number];

export class OffloadEvents {
  readonly counts = new Map<OffloadEvent, number>(OFFLOAD_EVENTS.map((event) => [event, 0]));

  count(event: OffloadEvent, times = 1): void {
    this.counts.set(event, this.counts.get(event)! + times);
  }
}
