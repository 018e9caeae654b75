import type { LoadPart } from "../engine/lazy-parts";
import type { PartSource } from "../protocol/messages";
import { assert, CairnError, reasonOf } from "../util/errors";

/** Imports a part's text, which the page has, from a blob, and hands it what the worker shares. */
export const importPart =
  (source: PartSource | null, shared: Readonly<Record<string, unknown>>): LoadPart =>
  async (name) => {
    assert(source, "no parts");
    let blobUrl = "";
    try {
      blobUrl = URL.createObjectURL(new Blob([await source(name)], { type: "text/javascript" }));
      return (await import(/* @vite-ignore */ blobUrl)).default(shared);
    } catch (cause) {
      // A page's policy may refuse scripts from blobs.
      const reason = reasonOf(cause);
      throw new CairnError("worker_failed", `${name} could not be loaded: ${reason}`, { reason });
    } finally {
      URL.revokeObjectURL(blobUrl);
    }
  };
