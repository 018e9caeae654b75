import { expect, test, vi } from "vitest";
import { parseModelConfig } from "../models/parse-config";
import { weightPlan } from "../models/registry";
import type { SelfTestSubject } from "../runner/self-test/self-test";
import { mapVerdicts } from "../testing/map-verdicts";
import { CairnError } from "../util/errors";
import { deviceVerdict } from "./device-verdict";

const config = parseModelConfig(
  {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: 64,
    intermediate_size: 128,
    num_attention_heads: 4,
    num_hidden_layers: 1,
    vocab_size: 100,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
  },
  null,
);

/** What a verdict depends on, and a device and pipelines that must not be touched. */
function subjectOn(description: string): SelfTestSubject {
  return {
    gpu: { adapter: { vendor: "v", architecture: "a", description } },
    config,
    plan: weightPlan(config),
    matrices: { linear: () => ({ type: "bf16" }) },
    geometry: { dtype: "f16" },
    variant: { f16: true, subgroups: true },
    gemvUpToTokens: 8,
    fusedNorm: true,
  } as unknown as SelfTestSubject;
}

const VERDICT = { variant: { f16: true, subgroups: false }, warnings: ["wrong"] };

test("a verdict is remembered by device, and then the self-test is not even loaded", async () => {
  const memory = mapVerdicts();
  const loadSelfTest = vi.fn(async () => async () => VERDICT);
  const find = (description: string) => deviceVerdict(subjectOn(description), memory, loadSelfTest);
  expect(await find("one")).toEqual(VERDICT);
  expect(await find("one")).toEqual(VERDICT);
  expect(loadSelfTest).toHaveBeenCalledTimes(1);
  await find("other");
  expect(loadSelfTest).toHaveBeenCalledTimes(2);
});

test("a self-test that cannot be loaded is a warning, and tried again the next time", async () => {
  const memory = mapVerdicts();
  const refuse = () => Promise.reject(new TypeError("blob: is not allowed"));
  const verdict = await deviceVerdict(subjectOn("one"), memory, refuse);
  expect(verdict.variant).toEqual({ f16: true, subgroups: true });
  expect(verdict.warnings).toEqual([expect.stringMatching(/not tested.*blob: is not allowed/)]);
  expect(await deviceVerdict(subjectOn("one"), memory, async () => async () => VERDICT)).toEqual(VERDICT);
});

test("a device that is wrong in every variant fails each load anew", async () => {
  const memory = mapVerdicts();
  const judge = vi.fn(() => Promise.reject(new CairnError("device_incorrect", "wrong")));
  for (let load = 0; load < 2; load++) {
    await expect(deviceVerdict(subjectOn("one"), memory, async () => judge)).rejects.toMatchObject({
      code: "device_incorrect",
    });
  }
  expect(judge).toHaveBeenCalledTimes(2);
});
