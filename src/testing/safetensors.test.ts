import { expect, it } from "vitest";
import { decodeSafetensors, encodeSafetensors, type TensorMap } from "./safetensors";
import { makeTinyGemma, tinyGemmaFiles } from "./tiny-gemma";

const tensors: TensorMap = new Map([
  ["a", { shape: [2, 3], data: new Float32Array([1, -2, 0.5, 65504, 2 ** -24, 0]) }],
  ["b.weight", { shape: [1], data: new Float32Array([0.25]) }],
]);

it.each(["F32", "F16"] as const)("round-trips in %s", (dtype) => {
  expect(decodeSafetensors(encodeSafetensors(tensors, dtype))).toEqual(tensors);
});

it("rounds to BF16", () => {
  const decoded = decodeSafetensors(encodeSafetensors(tensors, "BF16"));
  expect([...decoded.get("a")!.data]).toEqual([1, -2, 0.5, 65536, 2 ** -24, 0]);
});

it("lays the file out as the format says, also from a view into a larger buffer", () => {
  const bytes = encodeSafetensors(tensors, "F16");
  const headerLength = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  expect(headerLength % 8).toBe(0);
  expect(bytes.length).toBe(8 + headerLength + 14);
  expect(JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)))).toEqual({
    a: { dtype: "F16", shape: [2, 3], data_offsets: [0, 12] },
    "b.weight": { dtype: "F16", shape: [1], data_offsets: [12, 14] },
  });
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  expect(decodeSafetensors(shifted.subarray(1))).toEqual(tensors);
});

it("refuses another dtype by name", () => {
  const text = Buffer.from(encodeSafetensors(tensors, "F32")).toString("latin1").replaceAll("F32", "I64");
  expect(() => decodeSafetensors(Buffer.from(text, "latin1"))).toThrow(
    expect.objectContaining({ code: "unsupported_dtype", data: { tensor: "a", dtype: "I64" } }),
  );
});

it("holds a tiny Gemma exactly", () => {
  const gemma = makeTinyGemma({ seed: 3, residualScale: 1e5 });
  const [config, weights] = tinyGemmaFiles(gemma);
  expect([config.name, weights.name]).toEqual(["config.json", "model.safetensors"]);
  expect(JSON.parse(new TextDecoder().decode(config.bytes))).toEqual(gemma.configJson);
  expect(decodeSafetensors(weights.bytes)).toEqual(gemma.tensors);
});
