import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EngineHarness } from "../testing/engine-harness";
import { GOLDEN_BOUNDS } from "../testing/golden-job";
import { loadGoldenJobs } from "../testing/goldens";
import { openDawnGpu } from "../testing/gpu";

const gpu = await openDawnGpu();

function modelFiles(dir: string): File[] {
  return readdirSync(dir).map((name) => new File([readFileSync(`${dir}/${name}`)], name));
}

const ALL_MODES = [
  { chunk: null, concurrency: 1 },
  { chunk: 7, concurrency: 4 },
  { chunk: 16, concurrency: 4 },
  { chunk: null, concurrency: 4 },
] as const;

/** Every chunking and concurrency with one of the two cache types; `npm run soak` takes the whole product. */
const MODES = process.env.CAIRN_SOAK
  ? { f32: ALL_MODES, f16: ALL_MODES }
  : { f32: ALL_MODES.slice(0, 2), f16: ALL_MODES.slice(2) };

describe.skipIf(!gpu).each([...loadGoldenJobs()])("ids and logits of %s", (_, { dir, jobs }) => {
  describe.each(["f32", "f16"] as const)("with %s KV", (kvDtype) => {
    let harness: EngineHarness;
    beforeAll(async () => {
      harness = await EngineHarness.open(gpu as GPU, { model: { kind: "files", files: modelFiles(dir) }, kvDtype });
    });
    afterAll(() => harness.dispose());

    it.each(MODES[kvDtype])("chunks of $chunk, $concurrency at once", async ({ chunk, concurrency }) => {
      harness.setPrefillChunk(chunk);
      expect(await harness.checkGoldens(jobs, GOLDEN_BOUNDS[kvDtype], concurrency)).toEqual([]);
    });
  });
});
