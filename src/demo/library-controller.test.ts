import { expect, test, vi } from "vitest";
import type { CachedModel } from "../index";
import { CairnError } from "../index";
import type { CuratedModel } from "./curated-models";
import { LibraryController, type ModelLibrary } from "./library-controller";
import { cachedCopy, endpointOf } from "./library-state";
import type { RemoteModel } from "./remote-model";
import { SAMPLE_PLAN } from "./sample-plan.fixture";

const CURATED: CuratedModel = {
  id: "owner/big",
  name: "Big",
  downloadBytes: 1e9,
  licence: "Apache-2.0",
  context: 4096,
  quantization: "q8_0",
  isGated: false,
};
const CACHED: CachedModel = {
  key: "owner/big@abc",
  model: "owner/big",
  revision: "abc",
  bytes: 10,
  totalBytes: 20,
  isComplete: false,
  lastUsedMs: 0,
};
const BIG = { model: "owner/big", revision: null };
const chooseBig = (picker: LibraryController) => picker.choose("owner/big", null);

/** A library whose calls are recorded; `plan` answers at once unless told otherwise. */
function scriptedLibrary(script: Partial<ModelLibrary> = {}) {
  return {
    curated: vi.fn(script.curated ?? (async () => [CURATED])),
    plan: vi.fn(script.plan ?? (async () => SAMPLE_PLAN)),
    list: vi.fn(script.list ?? (async () => [CACHED])),
    delete: vi.fn(script.delete ?? (async () => {})),
  };
}

function plannedModels(library: ReturnType<typeof scriptedLibrary>): RemoteModel[] {
  return library.plan.mock.calls.map(([model]) => model);
}

test("nothing is asked before the picker is opened; then what is cached is read each time, the curated list once", async () => {
  const library = scriptedLibrary();
  const picker = new LibraryController(library);
  expect([library.curated, library.list].map((call) => call.mock.calls.length)).toEqual([0, 0]);
  await picker.refresh();
  await picker.refresh();
  expect([library.curated, library.list].map((call) => call.mock.calls.length)).toEqual([1, 2]);
  expect(picker.state).toMatchObject({
    curated: { status: "read", value: [CURATED] },
    cached: { status: "read", value: [CACHED] },
  });
});

test("a list that fails leaves the other, and is asked for again", async () => {
  const curated = vi.fn(async () => [CURATED]);
  curated.mockRejectedValueOnce(new Error("offline"));
  const picker = new LibraryController(scriptedLibrary({ curated }));
  await picker.refresh();
  expect(picker.state).toMatchObject({
    curated: { status: "failed", error: { message: "offline" } },
    cached: { status: "read" },
  });
  await picker.refresh();
  expect(picker.state.curated.status).toBe("read");
});

test("a model is planned as the list proposes, and again for each other quantization", async () => {
  const library = scriptedLibrary();
  const picker = new LibraryController(library);
  await picker.refresh();
  const planned = chooseBig(picker);
  expect(picker.state.chosen?.plan).toEqual({ status: "reading" });
  await planned;
  expect(picker.state.chosen?.plan).toEqual({ status: "read", value: SAMPLE_PLAN });
  await picker.setQuantization("q4_0");
  await picker.choose("owner/unknown", "v1");
  expect(plannedModels(library).map(({ model, revision, quantization }) => [model, revision, quantization])).toEqual([
    ["owner/big", null, "q8_0"],
    ["owner/big", null, "q4_0"],
    ["owner/unknown", "v1", null],
  ]);
});

test("the plan that was asked for last is shown, and what it replaced is aborted", async () => {
  const signals: AbortSignal[] = [];
  const answers: ((modelLen: number) => void)[] = [];
  const plan: ModelLibrary["plan"] = (_, { signal }) => {
    signals.push(signal);
    return new Promise((resolve) => answers.push((maxModelLen) => resolve({ ...SAMPLE_PLAN, maxModelLen })));
  };
  const picker = new LibraryController(scriptedLibrary({ plan }));
  const first = chooseBig(picker);
  const second = picker.setQuantization("q4_0");
  answers[1](2);
  answers[0](1);
  await Promise.all([first, second]);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  expect(picker.state.chosen?.plan).toMatchObject({ status: "read", value: { maxModelLen: 2 } });
});

test("who leaves gives the plan up, and its late answer shows nothing", async () => {
  const signals: AbortSignal[] = [];
  const plan: ModelLibrary["plan"] = async (_, { signal }) => {
    signals.push(signal);
    return SAMPLE_PLAN;
  };
  const picker = new LibraryController(scriptedLibrary({ plan }));
  const planned = chooseBig(picker);
  picker.leave();
  await planned;
  expect(signals[0].aborted).toBe(true);
  expect(picker.state.chosen).toBeNull();
});

test("a token is for the next plan", async () => {
  const plan = vi.fn(async () => SAMPLE_PLAN);
  plan.mockRejectedValueOnce(new CairnError("network", "401", { status: 401 }));
  const library = scriptedLibrary({ plan });
  const picker = new LibraryController(library);
  await chooseBig(picker);
  await picker.setQuantization("q4_0");
  picker.setHub({ endpoint: "https://mirror.example", token: "secret" });
  await picker.planAgain();
  expect(plannedModels(library).at(-1)).toEqual({
    ...BIG,
    hub: { endpoint: "https://mirror.example", token: "secret" },
    quantization: "q4_0",
  });
});

test("a token is not carried to another hub, to which a cached model may lead", async () => {
  const library = scriptedLibrary();
  const picker = new LibraryController(library);
  picker.setHub({ ...picker.state.hub, token: "secret" });
  const mirrored = { ...CACHED, key: `https://mirror.example/${CACHED.key}` };
  expect(endpointOf(CACHED)).toBe(picker.state.hub.endpoint);
  await picker.choose(mirrored.model, mirrored.revision, endpointOf(mirrored));
  expect(plannedModels(library)[0].hub).toEqual({ endpoint: "https://mirror.example", token: null });
  expect(picker.state.hub).toEqual({ endpoint: "https://mirror.example", token: null });
});

test("a plan leaves nothing in the browser, unless the model is kept there anyway", async () => {
  const library = scriptedLibrary();
  const picker = new LibraryController(library);
  await picker.refresh();
  await chooseBig(picker);
  await picker.choose("owner/unknown", null);
  expect(library.plan.mock.calls.map(([, { isKept }]) => isKept)).toEqual([true, false]);
});

test("deleting asks first, and lists anew afterwards", async () => {
  const library = scriptedLibrary();
  const picker = new LibraryController(library);
  await picker.refresh();
  await picker.confirmDelete();
  picker.askToDelete(CACHED.key);
  picker.keep();
  await picker.confirmDelete();
  expect(library.delete).not.toHaveBeenCalled();
  picker.askToDelete(CACHED.key);
  library.list.mockResolvedValueOnce([]);
  await picker.confirmDelete();
  expect(library.delete.mock.calls).toEqual([[CACHED.key]]);
  expect(picker.state).toMatchObject({ deletion: null, cached: { status: "read", value: [] } });
});

test("a deletion that is refused says why, beside a model that is still there", async () => {
  const refused = async () => {
    throw new CairnError("internal", "It is being downloaded.");
  };
  const picker = new LibraryController(scriptedLibrary({ delete: refused }));
  picker.askToDelete(CACHED.key);
  await picker.confirmDelete();
  expect(picker.state).toMatchObject({
    deletion: { key: CACHED.key, status: "failed", error: { message: "It is being downloaded." } },
    cached: { status: "read", value: [CACHED] },
  });
});

test("of several copies the complete one counts, and only of the revision that is asked for", async () => {
  const complete = { ...CACHED, key: "owner/big@def", revision: "def", isComplete: true };
  const picker = new LibraryController(scriptedLibrary({ list: async () => [CACHED, complete] }));
  await picker.refresh();
  const remote: RemoteModel = { ...BIG, hub: picker.state.hub, quantization: null };
  expect(cachedCopy(picker.state, remote)).toBe(complete);
  expect(cachedCopy(picker.state, { ...remote, revision: "abc" })).toBe(CACHED);
  expect(cachedCopy(picker.state, { ...remote, model: "owner/other" })).toBeNull();
});
