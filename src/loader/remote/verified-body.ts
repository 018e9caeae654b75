import { CairnError } from "../../util/errors";
import { bytesToHex, Sha256 } from "../../util/sha256";
import { type OpenedRemote, type OpenRemoteOptions, openRemote } from "./open-remote";
import type { RemoteFile } from "./remote";

export interface Arrival {
  readonly size: number;
  readonly sha256: string;
  /** Null where nobody told. */
  readonly expectedSize: number | null;
}

/** `integrity` { file, expected, actual } where the size, or the hash that the hub tells, is another one; else null. */
export function checkIntegrity({ file, sha256 }: RemoteFile, actual: Arrival): CairnError | null {
  const isSizeRight = actual.expectedSize === null || actual.size === actual.expectedSize;
  if (isSizeRight && (sha256 === null || actual.sha256 === sha256)) return null;
  const [expected, got] = isSizeRight ? [sha256, actual.sha256] : [actual.expectedSize, actual.size];
  const message = `"${file}" arrived damaged: its ${isSizeRight ? "SHA-256" : "size"} is ${got}, not ${expected}.`;
  return new CairnError("integrity", message, { file, expected, actual: got });
}

/** Opens a whole file that is not kept. Its last bytes come only if all were right; else the body fails with `integrity`. */
export async function openVerified(
  remote: RemoteFile,
  options: Pick<OpenRemoteOptions, "retry" | "signal">,
): Promise<OpenedRemote> {
  const opened = await openRemote(remote, options);
  const { size: expectedSize } = remote;
  if (remote.sha256 === null || expectedSize === null) return opened;
  const hash = new Sha256();
  let size = 0;
  const transform = (chunk: Uint8Array, controller: TransformStreamDefaultController<Uint8Array>) => {
    hash.update(chunk);
    size += chunk.length;
    if (size >= expectedSize) {
      const fault = checkIntegrity(remote, { size, sha256: bytesToHex(hash.digest()), expectedSize });
      if (fault) return controller.error(fault);
    }
    controller.enqueue(chunk);
  };
  return { ...opened, body: opened.body.pipeThrough(new TransformStream({ transform })) };
}
