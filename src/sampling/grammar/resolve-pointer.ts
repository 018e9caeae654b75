import { invalid } from "./check-keywords";

/** What a ref points to within its schema. Throws `invalid_request` { param } where there is nothing, or it points elsewhere. */
export function resolvePointer(root: unknown, ref: string, param: string): unknown {
  if (ref !== "#" && !ref.startsWith("#/")) throw invalid(param, "must begin with #/: other documents are not read");
  let target = root;
  for (const part of ref.split("/").slice(1)) {
    const name = unescaped(part);
    const isThere = typeof target === "object" && target !== null && Object.hasOwn(target, name);
    if (!isThere) throw invalid(param, `is ${ref}, but nothing is there`);
    target = (target as Record<string, unknown>)[name];
  }
  return target;
}

function unescaped(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // It has a % that escapes nothing.
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~");
}
