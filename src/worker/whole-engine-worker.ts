// The worker as a file of its own, for `workerUrl`: with all that it may need.
import { judgeDevice } from "../runner/self-test/judge-device";
import { serveEngine } from "./serve-engine";

serveEngine(async () => judgeDevice);
