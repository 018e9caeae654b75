import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deferred } from "../testing/deferred";
import { DeviceHealth } from "./device-health";

/** A device that a test fails. */
function fakeDevice() {
  const lost = deferred<{ reason: string; message: string }>();
  let onError = (_: unknown) => {};
  const addEventListener = (_: string, listener: (event: unknown) => void) => {
    onError = listener;
  };
  const health = new DeviceHealth({ addEventListener, lost: lost.promise } as unknown as GPUDevice);
  const refuse = (message: string) => onError({ error: { message } });
  const lose = () => lost.resolve({ reason: "unknown", message: "gone" });
  return { health, refuse, lose };
}

describe("DeviceHealth", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("keeps the first failure", async () => {
    const { health, refuse, lose } = fakeDevice();
    expect(health.failure).toBeNull();
    refuse("bad");
    lose();
    await vi.advanceTimersByTimeAsync(0);
    expect(() => health.throwIfFailed()).toThrow("The GPU refused a command: bad");
    expect(await health.failureBehind()).toMatchObject({ code: "gpu_error", data: { label: "bad" } });
  });

  it("waits for the loss behind what was refused", async () => {
    const { health, lose } = fakeDevice();
    const failure = health.failureBehind();
    await vi.advanceTimersByTimeAsync(999);
    lose();
    expect(await failure).toMatchObject({ code: "device_lost", data: { reason: "unknown" } });
  });

  it("says after a second that there is none", async () => {
    const { health } = fakeDevice();
    const failure = health.failureBehind();
    await vi.advanceTimersByTimeAsync(1000);
    expect(await failure).toBeNull();
  });
});
