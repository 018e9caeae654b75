import { openStorage } from "../../offload/storage/open-storage";
import { startStorageWorker } from "../../offload/storage/storage-connection";

// Last: it begins with Comlink, as what comes before it ends, and a compressor remembers the one at the other.

import source from "virtual:cairn-storage-worker-source";

/** The storage tier with its worker's script in it, which a blob starts. */
export const storage = {
  openStorage,
  connect() {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    try {
      return startStorageWorker(url);
    } finally {
      // The worker has begun to fetch it.
      URL.revokeObjectURL(url);
    }
  },
};
