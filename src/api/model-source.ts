import type { ModelSource } from "../protocol/messages";
import { DEFAULT_HUB_ENDPOINT, isHubId } from "../util/hub";
import { aBoolean, anObject, aString, type Check, type Fields, invalid, optional, refuseUnknown } from "./checks";

export type ModelOption = string | readonly File[] | FileSystemDirectoryHandle;

export interface HubOptions {
  /** Where the hub is; https://huggingface.co unless given. */
  readonly endpoint?: string | null;
  /** A branch, tag or commit; "main" unless given. */
  readonly revision?: string | null;
  /** An access token, for gated and private models. It is sent to the endpoint alone, and never stored. */
  readonly token?: string | null;
}

/** From the fields `model`, `hub` and `cache`. A field that would have no effect is refused. */
export function modelSource(fields: Fields): ModelSource {
  const { model } = fields;
  const cache = optional(fields, "cache", aBoolean) ?? undefined;
  if (typeof model === "string" && isHubId(model)) {
    return { kind: "hub", repo: model, ...hubOptions(fields), cache };
  }
  refuseWhereUnused(fields, "hub");
  if (typeof model === "string") return { kind: "url", url: absoluteFolderUrl(model), cache };
  if (cache) refuseWhereUnused(fields, "cache");
  if (typeof FileSystemDirectoryHandle !== "undefined" && model instanceof FileSystemDirectoryHandle) {
    return { kind: "directory", directory: model };
  }
  const isFiles = Array.isArray(model) && model.length > 0 && model.every((file) => file instanceof File);
  if (isFiles) return { kind: "files", files: model };
  throw invalid(
    "model",
    "a hub's id, \"owner/name\", a folder's URL, an array of at least one File, or a directory handle",
  );
}

function refuseWhereUnused(fields: Fields, name: "hub" | "cache"): void {
  if (fields[name] !== undefined && fields[name] !== null) {
    throw invalid(name, name === "hub" ? 'left out unless model is "owner/name"' : "left out for files that are here");
  }
}

function hubOptions(fields: Fields): Pick<ModelSource & { kind: "hub" }, "endpoint" | "revision" | "token"> {
  const hub = optional(fields, "hub", anObject) ?? {};
  refuseUnknown(hub, ["endpoint", "revision", "token"], "hub.");
  return {
    endpoint: optional(hub, "endpoint", anEndpoint, "hub.") ?? DEFAULT_HUB_ENDPOINT,
    revision: optional(hub, "revision", aRevision, "hub.") ?? "main",
    token: optional(hub, "token", aToken, "hub."),
  };
}

const anEndpoint: Check<string> = (value, param) => {
  const text = aString(value, param);
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain = url && /^https?:$/.test(url.protocol) && !(url.search || url.hash || url.username || url.password);
  if (!isPlain) throw invalid(param, "an absolute http(s) URL without query, fragment or credentials");
  return url.href.replace(/\/+$/, "");
};

const aRevision: Check<string> = (value, param) => {
  const text = aString(value, param);
  if (!/^[\w-][\w./-]*$/.test(text) || text.includes("..")) throw invalid(param, "a branch, tag or commit");
  return text;
};

/** Whatever else a header could not carry, and the browser's error would show it. */
const aToken: Check<string> = (value, param) => {
  const text = aString(value, param);
  if (!/^[\x21-\x7e]+$/.test(text)) throw invalid(param, "an access token: visible ASCII characters without a space");
  return text;
};

/** Relative URLs mean what they mean to the page; the worker, started from a blob, could not resolve them. */
function absoluteFolderUrl(model: string): string {
  if (!model.endsWith("/"))
    throw invalid("model", `a hub's id, "owner/name", or a URL that ends in a slash, not "${model}"`);
  const base = typeof document === "undefined" ? globalThis.location?.href : document.baseURI;
  if (!URL.canParse(model, base)) throw invalid("model", `a URL, not "${model}"`);
  const url = new URL(model, base);
  if (url.search || url.hash || url.username || url.password) {
    throw invalid("model", "a folder's URL without query, fragment or credentials");
  }
  return url.href;
}
