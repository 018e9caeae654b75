import { Marked } from "marked";

const MIN_HEADING_LEVEL = 3;
const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ESCAPES[character]);
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    // Tags that a model writes are text to be read, never markup.
    html: ({ text }) => escapeHtml(text),
    image: ({ text, href }) => escapeHtml(text || href),
    // Code may be wider than the page: a keyboard must be able to scroll it.
    code: ({ text }) => `<pre tabindex="0"><code>${escapeHtml(text)}\n</code></pre>\n`,
    // The page has its own h1 and h2.
    heading({ tokens, depth }) {
      const level = Math.min(depth + MIN_HEADING_LEVEL - 1, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    link({ href, tokens }) {
      const label = this.parser.parseInline(tokens);
      return /^https?:/i.test(href)
        ? `<a href="${escapeHtml(href)}" target="_blank" rel="noopener noreferrer">${label}</a>`
        : label;
    },
  },
});

/** Markdown as HTML in which raw HTML, images and links to anything but http are text. Still to be sanitized before use. */
export function markdownToHtml(markdown: string): string {
  return marked.parse(markdown, { async: false });
}
