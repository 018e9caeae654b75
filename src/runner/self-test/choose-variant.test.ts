import { expect, test } from "vitest";
import { chooseVariant, type DeviceVariant } from "./choose-variant";

const ALL = { f16: true, subgroups: true };
const name = ({ f16, subgroups }: DeviceVariant) => `${f16 ? "f16" : "f32"} ${subgroups ? "subgroups" : "memory"}`;

/** A GPU on which only variants that the test names are right. */
function scripted(right: (variant: DeviceVariant) => boolean) {
  const tried: string[] = [];
  const findFault = async (variant: DeviceVariant) => {
    tried.push(name(variant));
    return right(variant) ? null : { kernel: "gemv", error: 0.25 };
  };
  return { tried, findFault };
}

test("a device that computes right keeps all that it has", async () => {
  const { tried, findFault } = scripted(() => true);
  const verdict = await chooseVariant(ALL, findFault);
  expect(verdict).toEqual({ variant: ALL, warnings: [] });
  expect(tried).toEqual(["f16 subgroups"]);
});

test("first subgroups go, then f16, then both, and each that went is named", async () => {
  const { tried, findFault } = scripted(({ f16, subgroups }) => !f16 && !subgroups);
  const { variant, warnings } = await chooseVariant(ALL, findFault);
  expect(variant).toEqual({ f16: false, subgroups: false });
  expect(tried).toEqual(["f16 subgroups", "f16 memory", "f32 subgroups", "f32 memory"]);
  expect(warnings).toEqual([
    "This GPU gave wrong results with 16-bit arithmetic and subgroups, in gemv (error 0.25): switched off.",
    "This GPU gave wrong results with 16-bit arithmetic, in gemv (error 0.25): switched off.",
    "This GPU gave wrong results with subgroups, in gemv (error 0.25): switched off.",
  ]);
});

test("where all are wrong, the error names the kernel and each variant was tried once", async () => {
  const { tried, findFault } = scripted(() => false);
  await expect(chooseVariant({ f16: true, subgroups: false }, findFault)).rejects.toMatchObject({
    code: "device_incorrect",
    data: { kernel: "gemv", error: 0.25 },
  });
  expect(tried).toEqual(["f16 memory", "f32 memory"]);
});
