import { expect, it } from "vitest";
import { f32, packParams, u32 } from "./params";

it("packs u32 and f32 values as one word each, in order", () => {
  const words = packParams([u32(7), f32(1.5), u32(0xffffffff)]);
  expect([...words]).toEqual([7, 0x3fc00000, 0xffffffff]);
});
