/** The hub that is asked unless `hub.endpoint` names another; the only host that this package knows by name. */
export const DEFAULT_HUB_ENDPOINT = "https://huggingface.co";
