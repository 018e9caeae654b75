/** On it the workers of stores are told to end, and say that they do. */
export const STORE_CHANNEL = "cairn-store-worker";

export type StoreDeath = "closes itself" | "throws";
