// The script of the storage worker, for a worker that the package starts by itself.
import { serveStorage } from "../offload/storage/serve-storage";

serveStorage();
