/** The hub that is asked unless `hub.endpoint` names another; the only host that this package knows by name. */
export const DEFAULT_HUB_ENDPOINT = "https://huggingface.co";

const HUB_ID = /^[\w-][\w.-]*\/[\w-][\w.-]*$/;

/** A model's id on a hub, "owner/name", as opposed to a folder's URL. */
export function isHubId(model: string): boolean {
  return HUB_ID.test(model);
}
