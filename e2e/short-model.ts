import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../scripts/project.mjs";

const WHOLE_MODEL = join(ROOT, "public/models/cairn-stories-3M");
const NUM_LAYERS = 3;

/**
 * The embedded model with half its layers, for tests that ask where KV is, and compare ids only with each other: it writes no
 * sentences, but has the same three KV cache groups, in half the time. In a group there is one layer instead of two.
 */
export const SHORT_MODEL = join(ROOT, ".cache/test-models/short");

export function makeShortModel(): void {
  mkdirSync(SHORT_MODEL, { recursive: true });
  for (const name of readdirSync(WHOLE_MODEL)) copyFileSync(join(WHOLE_MODEL, name), join(SHORT_MODEL, name));
  const config = JSON.parse(readFileSync(join(WHOLE_MODEL, "config.json"), "utf8"));
  const layers = { num_hidden_layers: NUM_LAYERS, layer_types: config.layer_types.slice(0, NUM_LAYERS) };
  writeFileSync(join(SHORT_MODEL, "config.json"), JSON.stringify({ ...config, ...layers }));
}
