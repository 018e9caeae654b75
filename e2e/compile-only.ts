import type { Page } from "@playwright/test";

/**
 * The workers of the pages to come that start from a blob can compile no kernels but these: a load that needs others ends with
 * `gpu_error`, once its weights are there, and keeps no software adapter busy, as one does that is aborted while kernels compile.
 */
export async function compileOnly(page: Page, labels: readonly string[]): Promise<void> {
  await page.addInitScript((labels) => {
    const refusal = `{
      const { createComputePipelineAsync } = GPUDevice.prototype;
      GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
        if (${JSON.stringify(labels)}.includes(descriptor.label)) return createComputePipelineAsync.call(this, descriptor);
        return Promise.reject(new Error("refused by the test"));
      };
    }`;
    globalThis.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        const request = new XMLHttpRequest();
        request.open("GET", url, false);
        request.send();
        const source = new Blob([refusal, request.responseText], { type: "text/javascript" });
        super(URL.createObjectURL(source), options);
      }
    };
  }, labels);
}
