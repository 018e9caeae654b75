// The worker that the package starts by itself: without the self-test, which it gets from the page where it needs it.
import { PARTS } from "../runner/self-test/parts";
import { assert } from "../util/errors";
import { serveEngine } from "./serve-engine";

serveEngine(async (source) => {
  assert(source, "no self-test");
  const blobUrl = URL.createObjectURL(new Blob([await source()], { type: "text/javascript" }));
  try {
    return (await import(/* @vite-ignore */ blobUrl)).default({ PARTS });
  } finally {
    URL.revokeObjectURL(blobUrl);
  }
});
