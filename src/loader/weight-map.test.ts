import { describe, expect, it } from "vitest";
import { byteTensorsFile, jsonFile, pickedFiles, rejection } from "./test-files";
import { readWeightMap } from "./weight-map";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const SHARDS = {
  "model-00001-of-00002.safetensors": byteTensorsFile({ a: [2, 2], b: [3] }),
  "model-00002-of-00002.safetensors": byteTensorsFile({ c: [1] }),
};
const [FIRST, SECOND] = Object.keys(SHARDS);

const readShards = (weightMap: unknown) =>
  readWeightMap(pickedFiles({ ...SHARDS, [INDEX]: jsonFile({ weight_map: weightMap }) }));

it("reads a single file", async () => {
  const weights = await readWeightMap(pickedFiles({ [SINGLE]: byteTensorsFile({ a: [2, 2], b: [3] }) }));
  expect([...weights.values()].map(({ name, file, shape }) => [name, file, shape])).toEqual([
    ["a", SINGLE, [2, 2]],
    ["b", SINGLE, [3]],
  ]);
});

it("reads the shards that the index names", async () => {
  const weights = await readShards({ c: SECOND, a: FIRST, b: FIRST });
  expect([...weights.keys()].sort()).toEqual(["a", "b", "c"]);
  expect([...weights.values()].map(({ name, file }) => `${name} ${file}`).sort()).toEqual([
    `a ${FIRST}`,
    `b ${FIRST}`,
    `c ${SECOND}`,
  ]);
});

it("names the single file when there is neither it nor an index", async () => {
  expect(await rejection(readWeightMap(pickedFiles({})))).toEqual({
    code: "model_file_missing",
    data: { file: SINGLE },
  });
});

describe("an index that does not fit its shards", () => {
  it.each([
    [{ a: FIRST, b: FIRST, c: SECOND, d: SECOND }, SECOND, '"d" is missing'],
    [{ a: FIRST, b: FIRST, c: FIRST }, FIRST, '"c" is missing'],
    [{ a: FIRST, c: SECOND }, FIRST, '"b" is here'],
    [{ a: FIRST, b: SECOND, c: SECOND }, FIRST, '"b" is here'],
    [{ a: "../other.safetensors" }, INDEX, "not a plain file name"],
    [{ a: "https://elsewhere.example/x" }, INDEX, "not a plain file name"],
    [{ a: 1 }, INDEX, "not a plain file name"],
    [{}, INDEX, "names no tensor"],
    [[], INDEX, "weight_map is not an object"],
  ])("%j", async (weightMap, file, reason) => {
    expect(await rejection(readShards(weightMap))).toEqual({
      code: "invalid_safetensors",
      data: { file, reason: expect.stringContaining(reason) },
    });
  });

  it("names a shard that is missing", async () => {
    expect(await rejection(readShards({ a: "model-3.safetensors" }))).toEqual({
      code: "model_file_missing",
      data: { file: "model-3.safetensors" },
    });
  });

  it("names an index that is not JSON", async () => {
    const files = pickedFiles({ [INDEX]: new TextEncoder().encode("<html>") });
    expect(await rejection(readWeightMap(files))).toMatchObject({ code: "invalid_safetensors", data: { file: INDEX } });
  });
});
