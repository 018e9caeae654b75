import { afterAll, vi } from "vitest";

// Unit tests of several files share a thread and its modules: what a file changed for its tests ends with it.
afterAll(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  Reflect.deleteProperty(globalThis, "indexedDB");
});
