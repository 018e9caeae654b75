import { expect, test } from "vitest";
import { markdownToHtml } from "./markdown-html";

test("plain markdown becomes HTML, with line breaks kept", () => {
  expect(markdownToHtml("One **two**\nthree")).toBe("<p>One <strong>two</strong><br>three</p>\n");
});

test("headings start below the page's own", () => {
  expect(markdownToHtml("# A\n\n##### B")).toBe("<h3>A</h3>\n<h6>B</h6>\n");
});

test("raw HTML is shown, not run", () => {
  expect(markdownToHtml("a <img src=x onerror=alert(1)> b")).toBe("<p>a &lt;img src=x onerror=alert(1)&gt; b</p>\n");
  expect(markdownToHtml("<script>alert(1)</script>")).toBe("&lt;script&gt;alert(1)&lt;/script&gt;");
});

test("an image is its text: nothing is fetched", () => {
  expect(markdownToHtml("![a cat](https://example.com/cat.png)")).toBe("<p>a cat</p>\n");
});

test("only links to http are links", () => {
  expect(markdownToHtml("[x](javascript:alert(1)) [y](https://example.com/?a=1&b=2)")).toBe(
    '<p>x <a href="https://example.com/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">y</a></p>\n',
  );
});

test("an unfinished code fence is code already", () => {
  expect(markdownToHtml("```js\nlet a = 1 < 2;")).toBe('<pre tabindex="0"><code>let a = 1 &lt; 2;\n</code></pre>\n');
});
