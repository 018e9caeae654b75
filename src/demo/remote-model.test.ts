import { expect, test } from "vitest";
import { hostOf, nameOf, parseModel } from "./remote-model";

const HUB = "https://hub.example";

test("a hub id, its page in any form, and a folder's address name a model", () => {
  expect(parseModel(" owner/some-model_1.5 ", HUB)).toBe("owner/some-model_1.5");
  expect(parseModel("https://hub.example/owner/name", HUB)).toBe("owner/name");
  expect(parseModel("https://hub.example/owner/name/tree/main", `${HUB}/`)).toBe("owner/name");
  expect(parseModel("https://other.example/models/name/", HUB)).toBe("https://other.example/models/name/");
});

test("nothing else does", () => {
  for (const text of [
    "",
    "name",
    "a/b/c",
    "owner/",
    "../name/",
    "https://other.example/name",
    "https:///",
    "file:///x/",
  ]) {
    expect(parseModel(text, HUB), text).toBeNull();
  }
});

test("the host is the hub's for an id, else that of the address", () => {
  const hub = { endpoint: "http://localhost:8080", token: null };
  expect(hostOf({ model: "owner/name", hub })).toBe("localhost:8080");
  expect(hostOf({ model: "https://other.example/models/name/", hub })).toBe("other.example");
});

test("names are short", () => {
  expect(nameOf("owner/name")).toBe("name");
  expect(nameOf("https://other.example/models/name/")).toBe("name");
});
