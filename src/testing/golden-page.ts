import { type Remote, wrap } from "comlink";
import type { GoldenWorker } from "./golden-worker";

declare global {
  interface Window {
    goldenWorker: Remote<GoldenWorker>;
  }
}

window.goldenWorker = wrap(new Worker(new URL("./golden-worker.ts", import.meta.url), { type: "module" }));
