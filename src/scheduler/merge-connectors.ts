import type { LeaseRequests } from "../offload/connector";
import type { JobId, StepTransfers } from "../offload/transfer-job";

/** What several connectors ask for, in fresh maps and lists: nobody's output is changed, or shared. */
export function mergeLeaseRequests(requests: readonly LeaseRequests[]): LeaseRequests {
  const leases = new Map<JobId, number[]>();
  const releases = new Set<JobId>();
  for (const request of requests) {
    for (const [jobId, blockIds] of request.leases) leases.set(jobId, [...(leases.get(jobId) ?? []), ...blockIds]);
    for (const jobId of request.releases) releases.add(jobId);
  }
  return { leases, releases };
}

export function mergeTransfers(transfers: readonly StepTransfers[]): StepTransfers {
  return {
    stores: transfers.flatMap(({ stores }) => stores),
    loads: transfers.flatMap(({ loads }) => loads),
  };
}
