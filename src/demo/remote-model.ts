import { isHubId } from "../util/hub";

/** How weights are packed while they load; null leaves them as they are. */
export type Quantization = "q8_0" | "q4_0" | null;

/** How the hub is reached. */
export interface HubAccess {
  /** Where it is, with the scheme; a mirror may stand in for it. */
  readonly endpoint: string;
  /** For gated models. Lives in this page's memory, nowhere else. */
  readonly token: string | null;
}

/** A model that is fetched, and then kept in this browser. */
export interface RemoteModel {
  /** The hub's "owner/name", or a folder's URL, which ends in a slash. */
  readonly model: string;
  /** A commit or branch of the hub; null for the newest. */
  readonly revision: string | null;
  readonly hub: HubAccess;
  readonly quantization: Quantization;
}

/** What a reader typed or pasted, as `RemoteModel.model`: a hub id, the address of its page, or of any folder. Null where it is none of these. */
export function parseModel(text: string, endpoint: string): string | null {
  const typed = text.trim();
  const hubPage = `${endpoint.replace(/\/+$/, "")}/`;
  const id = typed.startsWith(hubPage) ? typed.slice(hubPage.length).split("/", 2).join("/") : typed;
  if (isHubId(id)) return id;
  return /^https?:.*\/$/.test(typed) && URL.canParse(typed) ? typed : null;
}

/** The host that a model's files come from. */
export function hostOf({ model, hub }: Pick<RemoteModel, "model" | "hub">): string {
  return hostOfUrl(isHubId(model) ? hub.endpoint : model);
}

export function hostOfUrl(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

/** Short: without its owner, or the last part of a URL. */
export function nameOf(model: string): string {
  return model.split("/").findLast((part) => part !== "") ?? model;
}
