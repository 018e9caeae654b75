import { isRecord } from "../../util/json";
import type { FileList } from "../remote/remote";
import { inStore, type ModelStore, type StoreRoot } from "./model-store";

export interface FileRecord {
  /** `missing`: its place was asked for it, and it is not there. */
  readonly state: "partial" | "complete" | "missing";
  /** Null while it is not known. */
  readonly size: number | null;
  readonly sha256: string | null;
  /** ETag, else Last-Modified. */
  readonly validator: string | null;
}

/** What is known of a model of which files are kept; lies beside them. */
export interface Manifest {
  readonly key: string;
  readonly model: string;
  readonly revision: string | null;
  /** Revisions that were asked for and led here, with the time in milliseconds since 1970. */
  readonly refs: Readonly<Record<string, number>>;
  readonly list: FileList | null;
  readonly files: Readonly<Record<string, FileRecord>>;
  /** All that an engine needs was once there. */
  readonly isComplete: boolean;
  readonly lastUsedMs: number;
}

/** Written one after the other, so that one of them is whole wherever a tab was killed. */
const FILES = ["~manifest.next.json", "~manifest.json"] as const;

export async function readManifest(store: ModelStore): Promise<Manifest | null> {
  for (const file of FILES.toReversed()) {
    try {
      if ((await store.size(file)) === 0) continue;
      const manifest: unknown = await new Response((await store.read(file)) as BodyInit).json();
      if (isRecord(manifest) && typeof manifest.key === "string") return manifest as unknown as Manifest;
    } catch {
      // Cut off while it was written, or being written in this moment: the other one counts.
    }
  }
  return null;
}

export async function writeManifest(store: ModelStore, manifest: Manifest): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify(manifest));
  await inStore(async () => {
    for (const file of FILES) {
      await store.remove(file);
      const writer = await store.append(file);
      try {
        await writer.write(bytes);
      } finally {
        await writer.close();
      }
    }
  });
}

export interface KeptModel {
  readonly folder: string;
  readonly store: ModelStore;
  readonly manifest: Manifest;
}

/** Every model of which files are kept at a place. */
export async function readManifests(root: StoreRoot): Promise<KeptModel[]> {
  const kept = [];
  for (const folder of await root.list()) {
    const store = await root.open(folder);
    const manifest = await readManifest(store);
    if (manifest) kept.push({ folder, store, manifest });
  }
  return kept;
}
