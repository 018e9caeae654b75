import { serveStorage } from "../offload/storage/serve-storage";
import { STORE_CHANNEL, type StoreDeath } from "./store-worker-channel";

/** What a store's worker does: as users get it, unless the hash of its URL names another. */
export type StoreKind = "sound" | "noIndexedDb";

/** The test-only worker entry of a store. */
if (location.hash === ("#noIndexedDb" satisfies `#${StoreKind}`)) {
  Object.defineProperty(globalThis, "indexedDB", { value: undefined });
}
serveStorage();

const channel = new BroadcastChannel(STORE_CHANNEL);
channel.onmessage = ({ data }: MessageEvent<StoreDeath>) => {
  channel.postMessage(data);
  channel.close();
  if (data === "closes itself") self.close();
  else throw new Error("injected");
};
