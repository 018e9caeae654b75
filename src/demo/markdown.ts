import DOMPurify from "dompurify";
import { markdownToHtml } from "./markdown-html";

// No element or attribute that could fetch something, take input, or restyle the page.
const ALLOWED_TAGS =
  "a blockquote br code del em h3 h4 h5 h6 hr li ol p pre strong table tbody td th thead tr ul".split(" ");
const ALLOWED_ATTRIBUTES = ["href", "target", "rel", "start", "align", "tabindex"];

/** HTML of a model's markdown that is safe to put into the page. */
export function renderMarkdown(markdown: string): string {
  return DOMPurify.sanitize(markdownToHtml(markdown), {
    ALLOWED_TAGS,
    ALLOWED_ATTR: ALLOWED_ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
  });
}
