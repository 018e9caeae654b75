import { describe, expect, it } from "vitest";
import type { EngineInit } from "../protocol/messages";
import { engineName } from "./engine-name";

const URL_MODEL = { kind: "url", url: "https://models.test/tiny/" } as const;
const HUB_MODEL = {
  kind: "hub",
  repo: "owner/name",
  endpoint: "https://hub.test",
  revision: "main",
  token: null,
} as const;
const INIT: EngineInit = { model: URL_MODEL, kvDtype: "f16", engine: { maxNumRunning: 2, useF16: false } };

const nameOf = (init: EngineInit, build = "b1") => engineName(build, init);

describe("engineName", () => {
  it("is the same for the same engine, however it was asked for", async () => {
    const name = await nameOf(INIT);
    expect(name).toMatch(/^cairn-engine\/[0-9a-f]{32}$/);
    const same: EngineInit[] = [
      { engine: { useF16: false, maxNumRunning: 2 }, kvDtype: "f16", model: { url: URL_MODEL.url, kind: "url" } },
      { ...INIT, namespace: undefined, quantization: undefined },
      { ...INIT, model: { ...URL_MODEL, cache: true } },
      { ...INIT, model: { ...URL_MODEL, cache: undefined } },
      { ...INIT, adapter: { forceFallback: false } },
    ];
    for (const init of same) expect(await nameOf(init)).toBe(name);
  });

  it("is another one for every difference", async () => {
    const inits: EngineInit[] = [
      INIT,
      { ...INIT, model: { ...URL_MODEL, url: "https://models.test/other/" } },
      { ...INIT, model: { ...URL_MODEL, cache: false } },
      { ...INIT, model: HUB_MODEL },
      { ...INIT, model: { ...HUB_MODEL, revision: "v2" } },
      { ...INIT, model: { ...HUB_MODEL, token: "hf_x" } },
      { ...INIT, kvDtype: "f32" },
      { ...INIT, maxModelLen: 64 },
      { ...INIT, quantization: "q8_0" },
      { ...INIT, kvCacheBytes: 4096 },
      { ...INIT, namespace: "app" },
      { ...INIT, adapter: { forceFallback: true } },
      { ...INIT, adapter: { powerPreference: "low-power" } },
      { ...INIT, engine: { maxNumRunning: 2 } },
      { ...INIT, engine: { maxNumRunning: 3, useF16: false } },
    ];
    const names = await Promise.all([...inits.map((init) => nameOf(init)), nameOf(INIT, "b2")]);
    expect(new Set(names).size).toBe(inits.length + 1);
  });

  it("does not tell a token", async () => {
    expect(await nameOf({ model: { ...HUB_MODEL, token: "hf_secret" } })).not.toContain("hf_secret");
  });
});
