// `npm run simulate -- TRACE [name=value ...]`: replays a request trace through the real scheduler on a modelled GPU.
// `npm run simulate -- scaling` measures the scheduler itself, `-- loads` compares what bounds requests that load from
// RAM; without arguments it lists the options.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { ROOT } from "./project.mjs";

const bundle = join(ROOT, ".cache/simulate.mjs");
await build({
  entryPoints: [join(ROOT, "src/simulate/main.ts")],
  outfile: bundle,
  bundle: true,
  platform: "node",
  format: "esm",
  logLevel: "warning",
});
const { main } = await import(pathToFileURL(bundle).href);
try {
  main(process.argv.slice(2));
} catch (error) {
  // What has a code says it all in words; where a broken invariant or a bug is, only the stack tells.
  const isPlain = error instanceof Error && "code" in error && error.code !== "internal";
  console.error(isPlain ? error.message : error);
  process.exitCode = 1;
}
