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
    it.each(conversations.map((conversation) => [conversation.name, conversation] as const))(
      "%s",
      (name, conversation) => {
        expectEqual(render(template, conversation), byName[name]!);
      },
    );
  });
});
