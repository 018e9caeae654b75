import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, persist, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  test("x", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
    offload(driver, "a", tokens(1, 9));
    expect(driver.takeStorageOps()).toEqual(["write a0<0 a1<1"]);
    driver.scheduler.clearTiers(["host"]);
    for (const id of ["b","c","d","e","f","g"]) driver.add(id, [...tokens(1, 8), id.charCodeAt(0)], { maxTokens: 1 });
    console.log(work(driver.run()));
    console.log(driver.takeStorageOps(), driver.storageStats, driver.connector.stats, driver.hostSlots, copies([]));
  });
});
