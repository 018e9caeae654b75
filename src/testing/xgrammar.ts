import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { XGrammar } from "../sampling/grammar/xgrammar";

const PATH = createRequire(import.meta.url).resolve("@mlc-ai/web-xgrammar");
const TEXT = readFileSync(PATH, "utf8");

/** A fresh XGrammar, evaluated as in a worker: of Node it sees nothing. */
export function loadXGrammar(): XGrammar {
  const exports = {};
  const self = { location: { href: "blob:" } };
  const names = ["exports", "module", "process", "location", "self", "importScripts"];
  new Function(...names, TEXT)(exports, {}, undefined, self.location, self, () => {});
  return exports as XGrammar;
}
