import { expose } from "comlink";
import { awaitAbsence, type Greeting, type PresenceLocks } from "../protocol/presence";
import type { EngineService } from "./engine-service";

/**
 * Serves a page at the other end of its port, which begins with a greeting, and is greeted back. When the page is gone, so are its
 * requests.
 */
export function serveClient<Device>(
  port: MessagePort,
  service: EngineService<Device>,
  greeting: Greeting,
  locks: PresenceLocks,
): void {
  const onGone = () => {
    port.close();
    return service.dispose();
  };
  const onGreeting = ({ data }: MessageEvent<Greeting>) => {
    port.postMessage(greeting);
    expose(service, port);
    // Whom nobody can watch is not served.
    awaitAbsence(locks, data).then(onGone, onGone);
  };
  port.addEventListener("message", onGreeting, { once: true });
  port.start();
}
