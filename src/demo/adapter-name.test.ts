import { expect, test } from "vitest";
import { adapterName } from "./adapter-name";

test("a software adapter is called one", () => {
  expect(adapterName({ vendor: "google", architecture: "swiftshader", description: "" })).toBe(
    "swiftshader, in software",
  );
  expect(adapterName({ vendor: "mesa", architecture: "", description: "llvmpipe (LLVM 19.1)" })).toBe(
    "llvmpipe (LLVM 19.1), in software",
  );
});

test("a real one is named by what the browser tells", () => {
  expect(adapterName({ vendor: "nvidia", architecture: "hopper", description: "" })).toBe("nvidia hopper");
  expect(adapterName({ vendor: "", architecture: "", description: "" })).toBe("GPU");
});
