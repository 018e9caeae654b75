import { requestDevice } from "../gpu/device";
import { kernelCases } from "./kernel-cases";
import { KernelCaseRunner, testRuns } from "./kernel-context";

export interface KernelCaseResult {
  readonly name: string;
  readonly ok: boolean;
  /** Null where the case passed. */
  readonly error: string | null;
}

declare global {
  interface Window {
    runKernelCases(options: { readonly all: boolean }): Promise<KernelCaseResult[]>;
  }
}

/** Every kernel's list of cases is longer. */
const SAMPLE_EVERY = 3;

/**
 * Runs the cases, save those too slow for a browser, one after the other: all in every variant of this browser's device, or every
 * third, each in one of them, in turn.
 */
window.runKernelCases = async ({ all }) => {
  const gpu = await requestDevice(navigator.gpu, { useF16: true, useSubgroups: true, profile: false });
  const runner = new KernelCaseRunner(gpu);
  const results: KernelCaseResult[] = [];
  const cases = kernelCases.filter(({ isSlowInBrowser }) => !isSlowInBrowser);
  const sample = cases.filter((_, index) => index % SAMPLE_EVERY === 0);
  const oneVariant = sample.flatMap((kernelCase, index) => {
    const ofCase = testRuns(gpu, [kernelCase]);
    return [ofCase[index % ofCase.length]];
  });
  const runs = all ? testRuns(gpu, cases) : oneVariant;
  for (const { name, kernelCase, variant } of runs) {
    const error = await runner.run(kernelCase, variant).then(
      () => null,
      (thrown: unknown) => String(thrown),
    );
    results.push({ name, ok: error === null, error });
  }
  gpu.device.destroy();
  return results;
};
