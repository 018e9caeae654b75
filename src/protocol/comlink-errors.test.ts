import { expose, releaseProxy, wrap } from "comlink";
import { describe, expect, it } from "vitest";
import { CairnError } from "../util/errors";
import { installErrorTransfer } from "./comlink-errors";

async function rejectionOf(thrown: unknown): Promise<unknown> {
  installErrorTransfer();
  installErrorTransfer();
  const { port1, port2 } = new MessageChannel();
  expose({ fail: () => Promise.reject(thrown) }, port1);
  const remote = wrap<{ fail(): Promise<void> }>(port2);
  try {
    return await remote.fail().then(
      () => "resolved",
      (error: unknown) => error,
    );
  } finally {
    remote[releaseProxy]();
    port2.close();
  }
}

describe("installErrorTransfer", () => {
  it("keeps code, data, message, name and stack of a CairnError", async () => {
    const thrown = new CairnError("tensor_shape", "wrong shape", { tensor: "a", expected: [2, 3], actual: [3, 2] });
    const received = (await rejectionOf(thrown)) as CairnError;
    expect(received).toBeInstanceOf(CairnError);
    expect({ ...received, message: received.message, name: received.name, stack: received.stack }).toEqual({
      code: "tensor_shape",
      data: { tensor: "a", expected: [2, 3], actual: [3, 2] },
      message: "wrong shape",
      name: "CairnError",
      stack: thrown.stack,
    });
  });

  it("names an aborted call AbortError", async () => {
    expect(await rejectionOf(new CairnError("aborted", "stopped"))).toMatchObject({ name: "AbortError" });
  });

  it("turns any other error into `internal` with its message and class name", async () => {
    const received = await rejectionOf(new RangeError("too far"));
    expect(received).toBeInstanceOf(CairnError);
    expect(received).toMatchObject({ code: "internal", message: "too far", data: { name: "RangeError" } });
  });

  it("turns a thrown string into `internal`", async () => {
    expect(await rejectionOf("just text")).toMatchObject({ code: "internal", message: "just text" });
  });
});
