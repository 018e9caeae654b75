import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { ChatInput } from "../protocol/messages";
import { CairnError } from "../util/errors";
import { ChatTemplate } from "./chat-template";
import conversations from "./template-goldens/conversations.json";
import goldens from "./template-goldens/templates.golden.json";
import { hasSharedModels, readSharedText } from "./test-tokenizers";

/** What Python's Jinja2 makes of a template and a conversation; scripts/make-template-goldens.py writes it. */
type Golden = { readonly sha256: string; readonly start: string; readonly end: string } | { readonly error: string };

/** Where Cairn renders something else, and why. Of families whose tools it writes itself: their templates never see any. */
const EXCEPTIONS: Readonly<Record<string, readonly [conversation: string, why: string][]>> = {
  "CohereForAI-c4ai-command-r-plus-tool_use": [
    ["tools with nested schemas", "`json_spec.items` is a method in Python, whatever the schema says"],
    ["arguments of every kind", "Python's indent breaks lines at U+2028"],
  ],
  "llama-cpp-deepseek-r1": [
    "tools with nested schemas",
    "a tool round trip",
    "parallel calls and their results",
    "parallel calls with arguments as text",
    "arguments of every kind",
    "text that is not ASCII",
    "more variables",
  ].map((name) => [
    name,
    "`map` gives a generator in Python, which is not JSON; llama.cpp, for which it is written, writes it",
  ]),
  "meetkai-functionary-medium-v3.1": [
    "tools with nested schemas",
    "parallel calls with arguments as text",
    "text that is not ASCII",
  ].map((name) => [name, "Python escapes for HTML what is added to a text that is marked as safe"]),
  "meetkai-functionary-medium-v3.2": [
    ["tools with nested schemas", "a text times a number, and None as a text, are not known to the interpreter"],
  ],
  "meta-llama-Llama-3.1-8B-Instruct": [
    ["more variables", "`reject` is not known to the interpreter; only with builtin_tools"],
  ],
  "meta-llama-Llama-3.3-70B-Instruct": [["more variables", "as Llama 3.1"]],
};

const NUM_SHOWN = 60;
const TOKENS = { bos_token: "<|bos|>", eos_token: "<|eos|>" };

function render(template: string, conversation: object): Golden {
  const { messages, ...options } = conversation as ChatInput;
  try {
    const text = new ChatTemplate(readSharedText(`chat-templates/${template}.jinja`), TOKENS).render(messages, options);
    const sha256 = createHash("sha256").update(text).digest("hex");
    const characters = [...text];
    return { sha256, start: characters.slice(0, NUM_SHOWN).join(""), end: characters.slice(-NUM_SHOWN).join("") };
  } catch (thrown) {
    if (thrown instanceof CairnError && thrown.code === "chat_template") return { error: String(thrown.data.reason) };
    throw thrown;
  }
}

/** What a template raises itself is told in its words; what the languages raise, each in its own. */
function expectEqual(rendered: Golden, golden: Golden): void {
  const raised = "error" in golden && /^TemplateError: (.*)/s.exec(golden.error)?.[1];
  if (!("error" in golden) || raised) expect(rendered).toEqual(raised ? { error: raised } : golden);
  else expect(rendered).toHaveProperty("error");
}

describe.skipIf(!hasSharedModels)("templates render as in Python", () => {
  beforeAll(() => void vi.useFakeTimers({ now: new Date(2025, 2, 7, 14, 5), toFake: ["Date"] }));
  afterAll(() => void vi.useRealTimers());

  describe.each(Object.entries<Record<string, Golden>>(goldens))("%s", (template, byName) => {
    const exceptions = new Map(EXCEPTIONS[template]);
    it.each(conversations.map((conversation) => [conversation.name, conversation] as const))(
      "%s",
      (name, conversation) => {
        const compare = () => expectEqual(render(template, conversation), byName[name]!);
        if (exceptions.has(name)) expect(compare).toThrow();
        else compare();
      },
    );
  });
});
