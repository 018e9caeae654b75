import { describe, expect, test } from "vitest";
import type { KvKey } from "../kv/chunk";
import type { Connector, LeaseRequests } from "../offload/connector";
import { HostManager } from "../offload/host-manager";
import { OffloadConnector } from "../offload/offload-connector";
import type { PreparedStore } from "../offload/offload-manager";
import { makeOffloadPolicy } from "../offload/offload-policy";
import { OffloadDriver, type OffloadDriverOptions } from "./offload-driver.fixture";
import { copies } from "./offload-moves.fixture";
import { deepFreeze, MODES, tokens } from "./scheduler.fixture";

const refuse = () => {
  throw new Error("a connector's own output is changed");
};

/** Its slots have ids from 1000 on: the runner of the tests knows slots by their ids, whichever tier has them. */
class SecondManager extends HostManager {
  override prepareStore(keys: readonly KvKey[]): PreparedStore {
    const prepared = super.prepareStore(keys);
    return { ...prepared, accepted: prepared.accepted.map(({ key, slotId }) => ({ key, slotId: slotId + 1000 })) };
  }
  override completeStore(slotId: number, success: boolean): void {
    super.completeStore(slotId - 1000, success);
  }
  override prepareLoad(keys: readonly KvKey[]): readonly number[] {
    return super.prepareLoad(keys).map((slotId) => slotId + 1000);
  }
  override completeLoad(slotIds: readonly number[]): void {
    super.completeLoad(slotIds.map((slotId) => slotId - 1000));
  }
}

/** A connector as it is, but whoever changes what it hands out fails the test. `asked` gets what it asks for. */
function locked(connector: OffloadConnector, asked: string[]): Connector {
  const takeLeaseRequests = connector.takeLeaseRequests.bind(connector);
  const takeTransfers = connector.takeTransfers.bind(connector);
  connector.takeLeaseRequests = (): LeaseRequests => {
    const { leases, releases } = takeLeaseRequests();
    if (leases.size > 0) asked.push(`lease ${[...leases.values()].flat()}`);
    if (releases.size > 0) asked.push(`release of ${releases.size}`);
    for (const blockIds of leases.values()) deepFreeze(blockIds);
    return {
      leases: Object.assign(leases, { set: refuse, delete: refuse, clear: refuse }),
      releases: Object.assign(releases, { add: refuse, delete: refuse, clear: refuse }),
    };
  };
  connector.takeTransfers = () => deepFreeze(takeTransfers());
  return connector;
}

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  /** Two tiers behind one scheduler. */
  function twoTiers(options: OffloadDriverOptions = {}, numStagingSlots: [number, number] = [32, 32]) {
    const asked: [string[], string[]] = [[], []];
    const managers: HostManager[] = [];
    const connectors: OffloadConnector[] = [];
    const driver = new OffloadDriver(maxInFlightSteps, {
      ...options,
      makeConnectors: (common) => {
        let numJobs = 0;
        for (const i of [0, 1]) {
          const Manager = [HostManager, SecondManager][i];
          const reserveSlot = () => true;
          const { now } = common;
          const manager = new Manager({ numSlots: 32, evictionPolicy: "lru", storeThreshold: 1, reserveSlot, now });
          managers.push(manager);
          const policy = makeOffloadPolicy("storeOnCompute");
          const nextJobId = () => ++numJobs;
          connectors.push(
            new OffloadConnector({ ...common, manager, policy, nextJobId, numStagingSlots: numStagingSlots[i] }),
          );
        }
        return connectors.map((connector, i) => locked(connector, asked[i]));
      },
    });
    const lookup = (...names: string[]) =>
      managers.map((manager) => names.map((name) => manager.lookup(driver.keyOf(name))).join(" "));
    return { driver, asked, connectors, lookup };
  }

  test("both store the same blocks in one step: leases are counted twice, and given up one by one", () => {
    // The second's ring takes one at a time.
    const { driver, asked, connectors, lookup } = twoTiers({}, [32, 1]);
    driver.landsAtOnce = false;
    driver.add("a", 13, { maxTokens: 1 });
    driver.turns(2);
    expect(driver.transfers.jobs).toHaveLength(4);
    expect(connectors.map(({ stats }) => stats.numLeasedBlocks)).toEqual([0, 2]);
    // The first has given up what it held; blocks 2 and 3 are held for the second.
    expect(driver.scheduler.numBlocksOnlyLeased).toBe(2);
    // What goes with the step at once needs no lease. With outputs at once all was planned at the finish, between steps.
    const leases = asked.map((lines) => lines.filter((line) => line.startsWith("lease")).join());
    expect(leases).toEqual(late ? ["", "lease 2,3"] : ["lease 1,2,3", "lease 1,2,3"]);
    expect(lookup("a0", "a1", "a2")).toEqual(["pending pending pending", "pending pending pending"]);
    driver.landsAtOnce = true;
    driver.landAll();
    driver.run();
    expect(lookup("a0", "a1", "a2")).toEqual(["hit hit hit", "hit hit hit"]);
    expect(driver.scheduler.numFreeBlocks).toBe(16);
  });

  test("a result for one's job leaves the other alone", () => {
    const { driver, lookup } = twoTiers();
    driver.landsAtOnce = false;
    driver.add("a", 5, { maxTokens: 1 });
    driver.turns(2);
    const [first, second] = driver.transfers.jobs.map(({ job }) => job.jobId);
    driver.land(second);
    expect(lookup("a0")).toEqual(["pending", "hit"]);
    driver.land(first, false);
    expect(lookup("a0")).toEqual(["miss", "hit"]);
    driver.run();
  });

  test("both wait with the same blocks leased: a request that needs them has both stores cancelled", () => {
    const { driver, connectors, lookup } = twoTiers({ numBlocks: 9 }, [1, 1]);
    driver.landsAtOnce = false;
    driver.add("a", 9, { maxTokens: 1 });
    driver.turns(2);
    expect([driver.scheduler.numBlocksOnlyLeased, driver.scheduler.numFreeBlocks]).toEqual([1, 7]);
    driver.add("b", 30, { maxTokens: 3, usePrefixCache: false });
    driver.turns(2);
    expect(connectors.map(({ stats }) => stats.numStoresCancelled)).toEqual([1, 1]);
    expect(lookup("a0", "a1")).toEqual(["pending miss", "pending miss"]);
    driver.landsAtOnce = true;
    driver.landAll();
    driver.run();
  });

  test("the first that has a prefix loads it; the other hears of the end, too", () => {
    const { driver, connectors } = twoTiers();
    driver.add("a", tokens(1, 9), { maxTokens: 2 });
    driver.run();
    driver.scheduler.resetPrefixCache();
    connectors[0].clear(["host"]);
    driver.add("b", tokens(1, 9), { maxTokens: 1 });
    expect(copies(driver.turns(1))[0]).toMatch(/^load a0 -> \d+ a1 -> \d+$/);
    driver.run();
    expect(connectors.map(({ stats }) => stats.numLoads)).toEqual([0, 1]);
    expect(connectors[0].stats.numStores).toBe(4);
  });
});
