import { describe, expect, it } from "vitest";
import { CairnError } from "../util/errors";
import { ChatTemplate } from "./chat-template";

const options = { addGenerationPrompt: true };
const render = (source: string) => new ChatTemplate(source, {}).render([{ role: "user", content: "Hi" }], options);

function reasonOf(source: string): unknown {
  try {
    render(source);
  } catch (thrown) {
    if (thrown instanceof CairnError && thrown.code === "chat_template") return thrown.data.reason;
    throw thrown;
  }
  throw new Error("the template was rendered");
}

describe("a template's work is bounded", () => {
  const steps = "it takes more than 1048576 steps";
  const doubled = (times: number) =>
    `{% set ns = namespace(s = 'ab') %}${"{% set ns.s = ns.s ~ ns.s %}".repeat(times)}`;

  it.each([
    ["a loop of 20 million turns", "{% for i in range(20000000) %}{% endfor %}", /^range\(\) is longer than 100000/],
    ["a range without end", "{{ range(0, 10, 0) }}", /^range\(\) is longer/],
    ["a range of fractions", "{{ range(0, 1, 0.0000001) }}", "range() takes integers"],
    ["20 million empty turns in two loops", loops(5000, 4000, ""), steps],
    ["20 million turns over a list that is made once", `{% set r = range(5000) %}${loops("r", "r", "")}`, steps],
    [
      "20 million turns of a condition",
      "{% for i in range(5000) %}{% for j in range(4000) if j < 0 %}{% endfor %}{% endfor %}",
      steps,
    ],
    ["names that are unknown", loops(1000, 1000, "{{ nobody }}"), steps],
    [
      "long texts that are made over and over",
      `${doubled(18)}${loops(1000, 1000, "{% set x = ns.s.upper() %}")}`,
      steps,
    ],
    [
      "macros that call each other without end",
      "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
      /nested more than 400 deep/,
    ],
    ["macros that call each other twice", fans(60), /nested more than 400 deep|steps/],
    ["a text that doubles", doubled(40), "it makes a text or list larger than 8388608"],
    ["a list that holds the last one twice, over and over", `${fork("[ns.a, ns.a]")}{{ ns.a }}`, /larger than/],
    ["an object that does", `${fork("{'l': ns.a, 'r': ns.a}")}{{ ns.a | tojson }}`, /larger than/],
    [
      "a namespace that holds itself",
      "{% set ns = namespace() %}{% set ns.a = [ns, ns] %}{{ ns.a }}",
      /nested more than/,
    ],
    [
      "long texts that are joined",
      `${doubled(20)}{{ [ns.s, ns.s, ns.s, ns.s, ns.s, ns.s, ns.s, ns.s, ns.s] | join }}`,
      /larger than/,
    ],
    ["a wide indent", "{{ 'a\nb' | indent(500000000) }}", "it indents by more than 256"],
    ["wide JSON", "{{ [1] | tojson(indent=500 * 1000000) }}", "it indents by more than 256"],
    ["deep parentheses", `{{ ${"(".repeat(100_000)}1${")".repeat(100_000)} }}`, /./],
    ["deep sums", `{{ ${"1+".repeat(100_000)}1 }}`, /./],
  ])("%s", (_, source, reason) => {
    expect(reasonOf(source)).toEqual(typeof reason === "string" ? reason : expect.stringMatching(reason));
  });
});

function loops(outer: number | string, inner: number | string, body: string): string {
  const list = (count: number | string) => (typeof count === "number" ? `range(${count})` : count);
  return `{% for i in ${list(outer)} %}{% for j in ${list(inner)} %}${body}{% endfor %}{% endfor %}`;
}

/** Macros of which each calls the next one twice. */
function fans(depth: number): string {
  const macros = Array.from(
    { length: depth },
    (_, n) => `{% macro f${n}() %}{{ f${n + 1}() }}{{ f${n + 1}() }}{% endmacro %}`,
  );
  return `${macros.join("")}{% macro f${depth}() %}x{% endmacro %}{{ f0() }}`;
}

function fork(list: string): string {
  return `{% set ns = namespace(a = ['x']) %}${`{% set ns.a = ${list} %}`.repeat(40)}`;
}

describe("what templates use works as in Jinja", () => {
  it.each([
    ["{{ range(3) | join(',') }}", "0,1,2"],
    ["{{ range(2, 5) | join(',') }}", "2,3,4"],
    ["{{ range(5, 0, -2) | join(',') }}", "5,3,1"],
    ["{{ range(5, 2) | length }}", "0"],
    ["{{ none is none }}{{ None is none }}{{ true }}{{ False }}", "truetruetruefalse"],
    [
      "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
      "013",
    ],
    ["{{ 'a\nb' | indent(2) }}{{ [1] | tojson(indent=1) }}{{ x | default(1000) }}", "a\n  b[\n 1\n]1000"],
    ["{{ strftime_now('%%%Y') | length }}", "5"],
    // In English, whatever language the reader has.
    [
      "{{ strftime_now('%B %b') in ['January Jan', 'February Feb', 'March Mar', 'April Apr', 'May May', 'June Jun', 'July Jul', 'August Aug', 'September Sep', 'October Oct', 'November Nov', 'December Dec'] }}",
      "true",
    ],
  ])("%s", (source, text) => {
    expect(render(source)).toBe(text);
  });

  it.each([
    ["{{ {'a': 1}[nothing] is defined }}{{ {'a': 1}[0] is defined }}{{ none[0] is defined }}", "falsefalsefalse"],
    [
      "{{ nothing is iterable }}{{ {} is iterable }}{{ '' is iterable }}{{ none is iterable }}{{ 1 is iterable }}",
      "truetruetruefalsefalse",
    ],
    ["{% for i in nothing %}{{ i }}{% else %}none{% endfor %}{% for i in nothing if i %}{{ i }}{% endfor %}", "none"],
    ["{{ none | selectattr('a') | list | length }}{{ nothing | map(attribute='a') | list | length }}", "00"],
    ["{% for a, b in [('c', 'd')] %}{{ b }}{{ a }}{% endfor %}", "dc"],
    ["{{ {} == '' }}{{ {'a': 1} == 'a' }}{{ {} == none }}{{ messages[0] == messages[-1] }}", "falsefalsefalsetrue"],
    ["{{ {'a': [1, {}]} }}", '{"a": [1, {}]}'],
    ["{{ 'a' ~ none ~ true ~ 1.5 ~ [] }}{{ false | string }}", "aNoneTrue1.5[]False"],
    ["{{ 'ab' * 2 }}{{ 'ab' * -1 }}", "abab"],
    ["{{ [1, 2, 1] | reject('equalto', 1) | join }}{{ [0, 1, ''] | select | join(',') }}", "21"],
    ["{{ {'items': 3}.items is callable }}{{ {'items': 3}['items'] }}", "true3"],
    ["{{ ('<b>' | safe) + '<i>' + \"'\" }}", "<b>&lt;i&gt;&#39;"],
    ["{{ 'a\u2028b' | indent(1) }}", "a\n b"],
  ])("%s, as in Python", (source, text) => {
    expect(render(source)).toBe(text);
  });

  it("adds no object to a text, as Python does not", () => {
    expect(reasonOf("{{ 'a' + messages[0] }}")).toEqual(expect.any(String));
  });

  it("knows that a generator is no JSON", () => {
    expect(reasonOf("{{ messages | map(attribute='role') | tojson }}")).toBe("a generator is no JSON");
    expect(render("{{ messages | map(attribute='role') | list | tojson }}")).toMatch(/^\[/);
  });

  it("a conversation of 5,000 messages", () => {
    const source =
      "{% for m in messages %}{% if m.role == 'user' and loop.index0 % 2 == 0 %}<u>{{ m.content | trim }}{% elif m.role == 'assistant' %}" +
      "<a>{{ messages[loop.index0 - 1].role }}{{ m['content'] }}{% else %}{{ raise_exception('no') }}{% endif %}</s>{% endfor %}";
    const messages = Array.from({ length: 5000 }, (_, n) => ({
      role: n % 2 ? "assistant" : "user",
      content: "text ".repeat(200),
    }));
    expect(new ChatTemplate(source, {}).render(messages, options)).toContain("<a>usertext");
  });
});
