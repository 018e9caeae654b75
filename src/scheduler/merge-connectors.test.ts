import { expect, test } from "vitest";
import type { StepTransfers } from "../offload/transfer-job";
import { mergeLeaseRequests, mergeTransfers } from "./merge-connectors";
import { deepFreeze } from "./scheduler.fixture";

/** A map and a set that throw when they are changed: freezing them would not do that. */
function requests(leases: [number, number[]][], releases: number[]) {
  const refuse = () => {
    throw new Error("a connector's own output is changed");
  };
  const map = new Map(deepFreeze(leases));
  const set = new Set(releases);
  return {
    leases: Object.assign(map, { set: refuse, delete: refuse, clear: refuse }),
    releases: Object.assign(set, { add: refuse, delete: refuse, clear: refuse }),
  };
}

test("leases and releases of all connectors, in their order, in a map and a set of their own", () => {
  const first = requests([[1, [5, 6]]], [8]);
  const second = requests([[2, [6, 7]]], [9]);
  const merged = mergeLeaseRequests([first, second]);
  expect([...merged.leases]).toEqual([
    [1, [5, 6]],
    [2, [6, 7]],
  ]);
  expect([...merged.releases]).toEqual([8, 9]);
  expect(merged.leases).not.toBe(first.leases);
  expect(merged.releases).not.toBe(first.releases);
});

test("two that name one job: its blocks are put together, and neither's list grows", () => {
  const first = requests([[1, [5]]], [3]);
  const second = requests([[1, [6]]], [3]);
  const merged = mergeLeaseRequests([first, second]);
  expect(merged).toEqual({ leases: new Map([[1, [5, 6]]]), releases: new Set([3]) });
  expect([[...first.leases], [...second.leases]]).toEqual([[[1, [5]]], [[1, [6]]]]);
});

test("what is merged can be changed without anybody noticing", () => {
  const only = requests([[1, [5]]], [3]);
  const merged = mergeLeaseRequests([only]);
  (merged.leases as Map<number, number[]>).get(1)!.push(9);
  (merged.leases as Map<number, number[]>).set(2, []);
  (merged.releases as Set<number>).add(4);
  expect(mergeLeaseRequests([only])).toEqual({ leases: new Map([[1, [5]]]), releases: new Set([3]) });
});

test("copies of all connectors, each kind in the order of the connectors", () => {
  const store = (jobId: number) => ({ jobId, epoch: 0, key: `${jobId}`, blockIds: [jobId], slotId: jobId });
  const load = (jobId: number) => ({ jobId, epoch: 0, blocks: [{ slotId: 0, blockInChunk: 0, blockId: jobId }] });
  const first: StepTransfers = deepFreeze({ stores: [store(1)], loads: [load(2)] });
  const second: StepTransfers = deepFreeze({ stores: [store(3), store(4)], loads: [] });
  const merged = mergeTransfers([first, second]);
  expect(merged.stores.map(({ jobId }) => jobId)).toEqual([1, 3, 4]);
  expect(merged.loads.map(({ jobId }) => jobId)).toEqual([2]);
  expect(Object.isFrozen(mergeTransfers([first]).stores)).toBe(false);
});

test("of nobody: nothing", () => {
  expect(mergeLeaseRequests([])).toEqual({ leases: new Map(), releases: new Set() });
  expect(mergeTransfers([])).toEqual({ stores: [], loads: [] });
});
