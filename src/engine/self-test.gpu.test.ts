import { describe, expect, it } from "vitest";
import { openDawnGpu } from "../testing/gpu";
import { mapVerdicts } from "../testing/map-verdicts";
import { faultyGpu, SHADER_FAULTS } from "../testing/shader-fault";
import { expectServing, loadTestEngine } from "../testing/test-engine";
import { WatchedGpu } from "../testing/watched-gpu";

const gpu = (await openDawnGpu()) as GPU;
// One variant more or less is a minute on a software adapter.
const engine = { useF16: false };
const plain = { ...engine, useSubgroups: false };

describe.skipIf(!gpu)("loading on a device that computes wrong results", () => {
  it("turns off subgroups whose sums are wrong, says so, serves, and remembers it", async () => {
    const faulty = faultyGpu(gpu, SHADER_FAULTS.subgroupSum);
    const verdicts = mapVerdicts();
    const loaded = await loadTestEngine(faulty, { engine }, { verdicts });
    expect(loaded.info.features).toEqual({ f16: false, subgroups: false });
    expect(loaded.info.warnings).toEqual([expect.stringMatching(/gave wrong results with .*subgroups, in gemv/)]);
    await expectServing(loaded);
    loaded.dispose();

    const watched = new WatchedGpu(faulty);
    const again = await loadTestEngine(watched.gpu, { engine }, { verdicts });
    expect(again.info.warnings).toEqual(loaded.info.warnings);
    expect(watched.numBuffersMade("self_test")).toBe(0);
    again.dispose();
  });

  it("ends with device_incorrect where every variant is wrong, and holds nothing", async () => {
    const watched = new WatchedGpu(faultyGpu(gpu, SHADER_FAULTS.sampleTie));
    const loading = loadTestEngine(watched.gpu, { engine: plain }, { verdicts: mapVerdicts() });
    await expect(loading).rejects.toMatchObject({ code: "device_incorrect", data: { kernel: "sample" } });
    await watched.device.lost;
    expect(watched.numLiveDevices).toBe(0);
    expect(watched.numBuffersMade("self_test")).toBeGreaterThan(0);
    expect(watched.bufferLabels.filter((label) => label.startsWith("self_test"))).toEqual([]);
  });
});
