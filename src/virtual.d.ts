declare module "virtual:cairn-worker-source" {
  /** The engine worker without the self-test as the text of one script; made by scripts/worker-source-plugin.ts. */
  const source: string;
  export default source;
}

declare module "virtual:cairn-self-test-source" {
  /** A module whose default export makes judgeDevice from the worker's parts; made by scripts/worker-source-plugin.ts. */
  const source: string;
  export default source;
}
