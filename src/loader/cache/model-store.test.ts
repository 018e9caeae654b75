import { expect, it } from "vitest";
import { checkStore } from "../../testing/store-suite";
import { MemoryRoot } from "../memory-store.fixture";

// The real ones exist in browsers only: e2e/hub.spec.ts.
it("the store of these tests keeps what the interface promises", async () => {
  expect(await checkStore(new MemoryRoot())).toEqual([]);
});
