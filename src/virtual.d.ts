declare module "virtual:cairn-worker-source" {
  /** The engine worker as the text of one self-contained script; made by scripts/worker-source-plugin.ts. */
  const source: string;
  export default source;
}
