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
    runKernelCases(filter?: string): Promise<KernelCaseResult[]>;
  }
}

/** Runs the cases whose name holds `filter`, save those too slow for a browser, in every variant of this browser's device, one after the other. */
window.runKernelCases = async (filter = "") => {
  const gpu = await requestDevice(navigator.gpu, { useF16: true, useSubgroups: true, profile: false });
  const runner = new KernelCaseRunner(gpu);
  const results: KernelCaseResult[] = [];
  for (const { name, kernelCase, variant } of testRuns(gpu, kernelCases)) {
    if (kernelCase.isSlowInBrowser || !name.includes(filter)) continue;
    const error = await runner.run(kernelCase, variant).then(
      () => null,
      (thrown: unknown) => String(thrown),
    );
    results.push({ name, ok: error === null, error });
  }
  gpu.device.destroy();
  return results;
};
