import { it } from "vitest";
import { openDawn } from "../testing/gpu";
import { kernelCases } from "../testing/kernel-cases";
import { KernelCaseRunner, testRuns } from "../testing/kernel-context";

const gpu = await openDawn();

if (gpu) {
  const runner = new KernelCaseRunner(gpu);
  for (const { name, kernelCase, variant } of testRuns(gpu, kernelCases)) {
    it(name, () => runner.run(kernelCase, variant));
  }
} else {
  it.skip("kernels: no GPU adapter");
}
