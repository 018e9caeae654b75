// The worker that the package starts by itself: it gets its lazy parts from the page, and hands them what is here already.
import { assert, CairnError, reasonOf } from "../util/errors";
import { serveEngine } from "./serve-engine";
import { SHARED } from "./shared";

serveEngine((source) => async (name) => {
  assert(source, "no parts");
  let blobUrl = "";
  try {
    blobUrl = URL.createObjectURL(new Blob([await source(name)], { type: "text/javascript" }));
    return (await import(/* @vite-ignore */ blobUrl)).default(SHARED);
  } catch (cause) {
    // A page's policy may refuse scripts from blobs.
    const reason = reasonOf(cause);
    throw new CairnError("worker_failed", `${name} could not be loaded: ${reason}`, { reason });
  } finally {
    URL.revokeObjectURL(blobUrl);
  }
});
