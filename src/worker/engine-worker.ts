// The worker that the package starts by itself: it gets its lazy parts from the page, and hands them what is here already.
import { assert } from "../util/errors";
import { serveEngine } from "./serve-engine";
import { SHARED } from "./shared";

serveEngine((source) => async (name) => {
  assert(source, "no parts");
  const blobUrl = URL.createObjectURL(new Blob([await source(name)], { type: "text/javascript" }));
  try {
    return (await import(/* @vite-ignore */ blobUrl)).default(SHARED);
  } finally {
    URL.revokeObjectURL(blobUrl);
  }
});
