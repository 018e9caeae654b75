declare module "virtual:cairn-worker-source" {
  /** The engine worker without its lazy parts as the text of one script; made by scripts/worker-source-plugin.ts. */
  const source: string;
  export default source;
}

declare module "virtual:cairn-storage-worker-source" {
  /** The storage worker as the text of one script; for lazy parts only. */
  const source: string;
  export default source;
}

declare module "virtual:cairn-parts" {
  /** Imports of the lazy parts; each is the text of a module whose default export makes the part from what the worker shares. */
  export const PARTS: Readonly<
    Record<import("./protocol/messages").PartName, () => Promise<{ readonly default: string }>>
  >;
}

declare module "virtual:cairn-build" {
  /** Names the text of worker.js, in which the package's version stands: a hash in hex. */
  const build: string;
  export default build;
}
