import { throwIfAborted } from "../read-errors";
import { type RemoteFile, validatorOf } from "../remote/remote";

/** How long a server may take to say that nothing changed. */
const PATIENCE_MS = 5_000;

/** Whether the network still has the file that a copy was made of. A server that does not answer, or cannot tell, has. */
export async function isCurrent(
  remote: RemoteFile,
  validator: string | null,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const deadline = AbortSignal.timeout(PATIENCE_MS);
  const either = signal ? AbortSignal.any([signal, deadline]) : deadline;
  try {
    const init = { method: "HEAD", headers: remote.headers, cache: "no-store", signal: either } as const;
    const response = await fetch(remote.url, init);
    const refusal = remote.refusalOf(response);
    if (refusal) return refusal.code !== "model_file_missing";
    const current = validatorOf(response);
    return current === null || validator === null || current === validator;
  } catch {
    throwIfAborted(signal);
    return true;
  }
}
