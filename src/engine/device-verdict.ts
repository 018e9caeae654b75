import { version } from "../../package.json";
import { allLinears } from "../models/weight-plan";
import type { DeviceVerdict } from "../runner/self-test/choose-variant";
import type { JudgeDevice } from "../runner/self-test/judge-device";
import type { SelfTestSubject } from "../runner/self-test/self-test";

/** Remembers verdicts. What is forgotten is found again, so that nothing here has to be kept, and nothing fails a load. */
export interface VerdictMemory {
  get(key: string): Promise<DeviceVerdict | null>;
  set(key: string, verdict: DeviceVerdict): Promise<void>;
}

/**
 * The remembered verdict, or else that of the self-test, which is loaded only for that.
 * Errors: those of judgeDevice.
 */
export async function deviceVerdict(
  subject: SelfTestSubject,
  memory: VerdictMemory,
  loadSelfTest: () => Promise<JudgeDevice>,
): Promise<DeviceVerdict> {
  const key = verdictKey(subject);
  const known = await memory.get(key);
  if (known) return known;
  const judge = await loadSelfTest().catch(String);
  if (typeof judge === "string") {
    return { variant: subject.variant, warnings: [`This GPU's results were not tested: ${judge}`] };
  }
  const verdict = await judge(subject);
  await memory.set(key, verdict);
  return verdict;
}

/** All that a verdict depends on: the GPU, its driver as far as it can be seen, this package, and which pipelines there are. */
function verdictKey({
  gpu,
  variant,
  config,
  plan,
  matrices,
  geometry,
  gemvUpToTokens,
  fusedNorm,
}: SelfTestSubject): string {
  const types = new Set(allLinears(plan).map((linear) => matrices.linear(linear).type));
  const kernels = [{ ...config, layers: 0 }, [...types], geometry.dtype, variant, gemvUpToTokens, fusedNorm];
  return JSON.stringify([version, globalThis.navigator?.userAgent, gpu.adapter, kernels]);
}
