import { describe, expect, it } from "vitest";
import type { ChatMessage } from "../protocol/messages";
import { CairnError } from "../util/errors";
import { ChatTemplate, encodeChat, endOfTurnIds } from "./chat-template";
import {
  EMBEDDED_GOLDEN_PATH,
  hasSharedModels,
  loadTestTokenizer,
  readSharedText,
  readTestJson,
  readTokenizerFiles,
} from "./test-tokenizers";
import type { TokenizerFiles } from "./tokenizer-files";

const HELLO: ChatMessage[] = [{ role: "user", content: "Hello" }];
const generate = { addGenerationPrompt: true };

/** Files of a model by name; what is not in `texts` is missing. */
function filesOf(texts: Readonly<Record<string, string>>): TokenizerFiles {
  return {
    readText: async (file) => texts[file] ?? null,
    readJson: async (file) => JSON.parse(texts[file] ?? "null"),
  };
}

function reasonOf(template: ChatTemplate, messages: readonly ChatMessage[] = HELLO): unknown {
  try {
    template.render(messages, generate);
  } catch (thrown) {
    if (thrown instanceof CairnError && thrown.code === "chat_template") return thrown.data.reason;
    throw thrown;
  }
  throw new Error("the template was rendered");
}

describe("embedded model", () => {
  const tokenizer = loadTestTokenizer("embedded");
  const config = readTokenizerFiles("embedded").config!;
  const template = new ChatTemplate(config.chat_template as string, config);

  it("gives every golden chat its prompt ids", () => {
    const { cases } = readTestJson(EMBEDDED_GOLDEN_PATH) as {
      cases: { messages: ChatMessage[]; prompt_ids: number[] }[];
    };
    expect(cases.length).toBe(9);
    for (const { messages, prompt_ids } of cases) expect(encodeChat(template, tokenizer, messages)).toEqual(prompt_ids);
  });

  it("ends turns with <end_of_turn>", () => {
    expect(endOfTurnIds(tokenizer, template)).toEqual([5]);
  });

  it("passes on what the template refuses", () => {
    expect(reasonOf(template, [...HELLO, ...HELLO])).toBe("roles must alternate user/assistant");
  });
});

describe("load", () => {
  const rendered = async (texts: Readonly<Record<string, string>>) =>
    (await ChatTemplate.load(filesOf(texts)))?.render(HELLO, generate) ?? null;
  const config = (value: unknown) => ({ "tokenizer_config.json": JSON.stringify(value) });

  it("prefers chat_template.jinja", async () => {
    const texts = { "chat_template.jinja": "file", ...config({ chat_template: "config" }) };
    expect(await rendered(texts)).toBe("file");
    expect(await rendered({ "chat_template.jinja": "file" })).toBe("file");
    expect(await rendered(config({ chat_template: "config" }))).toBe("config");
  });

  it("takes the default of several, or the only one", async () => {
    const named = (...names: string[]) => config({ chat_template: names.map((name) => ({ name, template: name })) });
    expect(await rendered(named("tool_use", "default"))).toBe("default");
    expect(await rendered(named("chatml"))).toBe("chatml");
    expect(await rendered(named("rag", "tool_use"))).toBe(null);
  });

  it("takes the one for tools where tools are given", async () => {
    const sources = [
      { name: "default", template: "plain" },
      { name: "tool_use", template: "{% if tools %}<tool_call>{'arguments': 1}{% endif %}" },
    ];
    const renderedWith = async (chat_template: unknown, file?: string) => {
      const texts = { ...config({ chat_template }), ...(file && { "chat_template.jinja": file }) };
      const template = (await ChatTemplate.load(filesOf(texts)))!;
      return [template.render(HELLO), template.render(HELLO, { tools: [] })];
    };
    expect(await renderedWith(sources)).toEqual(["plain", ""]);
    expect(await renderedWith([{ name: "default", template: "plain" }])).toEqual(["plain", "plain"]);
    expect(await renderedWith(sources, "file")).toEqual(["file", "file"]);
  });

  it("is null without a template", async () => {
    expect(await ChatTemplate.load(filesOf({}))).toBe(null);
    expect(await ChatTemplate.load(filesOf(config({ chat_template: null })))).toBe(null);
  });
});

describe("render", () => {
  it("offers the named tokens as strings, and nothing for those that are missing", () => {
    const template = new ChatTemplate("{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ tools is none }}", {
      bos_token: "<s>",
      eos_token: { content: "</s>", special: true },
      unk_token: null,
    });
    expect(template.render(HELLO, generate)).toBe("<s>|</s>||true");
  });

  it("offers the tools, more variables, and whether the assistant's turn begins", () => {
    const source =
      "{% if tools %}{{ tools[0].function.name }}{% endif %}|{{ enable_thinking }}|{{ add_generation_prompt }}|{{ messages | length }}";
    const template = new ChatTemplate(source, {});
    const add = { name: "add", description: "Adds", parameters: {} };
    const templateKwargs = { enable_thinking: false, messages: [], tools: [], add_generation_prompt: 7 };
    expect(template.render(HELLO)).toBe("||true|1");
    expect(
      template.render(HELLO, {
        tools: [{ type: "function", function: add }],
        templateKwargs,
        addGenerationPrompt: false,
      }),
    ).toBe("add|false|false|1");
  });

  it("tells the date", () => {
    expect(new ChatTemplate("{{ strftime_now('%d %b %Y') }}", {}).render([], generate)).toMatch(/^\d\d \w{3} \d{4}$/);
  });

  it("names the fault of a broken template each time", () => {
    const template = new ChatTemplate("{% for message in %}", {});
    expect(reasonOf(template)).toEqual(expect.any(String));
    expect(reasonOf(template)).toEqual(expect.any(String));
  });
});

describe("what a template takes", () => {
  const takesSystem = (source: string) => new ChatTemplate(source, {}).hasSystemRole;

  it("is a system message only where it shows one", () => {
    expect(takesSystem("{% for m in messages %}{{ m.content }}{% endfor %}")).toBe(true);
    expect(
      takesSystem("{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}"),
    ).toBe(false);
    expect(takesSystem("{{ raise_exception('no system role') }}")).toBe(false);
  });

  it("is the calls' format of the template for tools", () => {
    const toolSource = "{% if tools %}[TOOL_CALLS][{% endif %}";
    expect(new ChatTemplate("", {}, toolSource).toolFormat).toBe("mistral");
    expect(new ChatTemplate(toolSource, {}).toolFormat).toBe("mistral");
  });

  it("is no family's where the tags hold something else than JSON", () => {
    expect(new ChatTemplate("<tool_call>\\n<function=f>", {}).toolFormat).toBe("json");
    expect(new ChatTemplate("<tool_call>name\\n<arg_key>{{ t.arguments }}", {}).toolFormat).toBe("json");
  });
});

describe("encodeChat", () => {
  const tokenizer = loadTestTokenizer("embedded");

  it("adds a BOS only where the template has none", () => {
    const variables = { bos_token: "<bos>" };
    const ids = encodeChat(new ChatTemplate("{{ bos_token }}{{ messages[0].content }}", variables), tokenizer, HELLO);
    expect(ids).toEqual(tokenizer.encode("Hello", { addSpecialTokens: true }));
    expect(encodeChat(new ChatTemplate("{{ messages[0].content }}", variables), tokenizer, HELLO)).toEqual(ids);
  });
});

describe("endOfTurnIds", () => {
  const tokenizer = loadTestTokenizer("embedded");
  const idsOf = (template: string) => endOfTurnIds(tokenizer, new ChatTemplate(template, { eos_token: "<eos>" }));

  it.each([
    ["{% for m in messages %}{{ m.content }} {{ eos_token }}\n{% endfor %}", [1]],
    ["{% for m in messages %}{{ m.content }}\n{% endfor %}", []],
    ["{% for m in messages %}{{ m.content }}<unknown>{% endfor %}", []],
    ["no content", []],
    ["{{ raise_exception('never') }}", []],
  ])("of %j are %j", (template, ids) => {
    expect(idsOf(template)).toEqual(ids);
  });
});

describe.skipIf(!hasSharedModels)("published templates", () => {
  const readTemplate = (file: string, variables: Record<string, unknown> = {}) =>
    new ChatTemplate(readSharedText(`chat-templates/${file}.jinja`), variables);
  const chat: ChatMessage[] = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello!" },
    { role: "user", content: "Bye" },
  ];

  // Those for tools alone fail without them, in Python too.
  it.each([
    ["CohereForAI-c4ai-command-r-plus-tool_use", "json", false, false],
    ["CohereForAI-c4ai-command-r7b-12-2024-tool_use", "json", true, false],
    ["NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "hermes", false, false],
    ["NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes", false, false],
    ["Qwen-Qwen2.5-7B-Instruct", "hermes", true, false],
    ["deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "json", true, true],
    ["deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "json", true, true],
    ["fireworks-ai-llama-3-firefunction-v2", "json", false, false],
    ["google-gemma-2-2b-it", "json", false, false],
    ["llama-cpp-deepseek-r1", "json", true, true],
    ["meetkai-functionary-medium-v3.1", "json", true, false],
    ["meetkai-functionary-medium-v3.2", "json", true, false],
    ["meta-llama-Llama-3.1-8B-Instruct", "llama3", true, false],
    ["meta-llama-Llama-3.2-3B-Instruct", "llama3", true, false],
    ["meta-llama-Llama-3.3-70B-Instruct", "llama3", true, false],
    ["microsoft-Phi-3.5-mini-instruct", "json", true, false],
    ["mistralai-Mistral-Nemo-Instruct-2407", "mistral", true, false],
  ])("%s: calls as %s, system messages: %s, thoughts: %s", (file, toolFormat, hasSystemRole, hasReasoning) => {
    const template = readTemplate(file, { bos_token: "<s>", eos_token: "</s>" });
    expect(template.toolFormat).toBe(toolFormat);
    expect(template.hasSystemRole).toBe(hasSystemRole);
    expect(template.hasReasoning).toBe(hasReasoning);
  });

  it("Gemma 2", () => {
    expect(readTemplate("google-gemma-2-2b-it", { bos_token: "<bos>" }).render(chat, generate)).toBe(
      "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n" +
        "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n",
    );
  });

  it("Qwen 2.5", () => {
    const template = readTemplate("Qwen-Qwen2.5-7B-Instruct");
    expect(template.render([{ role: "system", content: "Be kind." }, ...HELLO], generate)).toBe(
      "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    );
    expect(endOfTurnIds(loadTestTokenizer("qwen2"), template)).toEqual([151645]);
  });

  it("Llama 3.2", () => {
    const template = readTemplate("meta-llama-Llama-3.2-3B-Instruct", { bos_token: "<|begin_of_text|>" });
    const tokenizer = loadTestTokenizer("llama3.2");
    expect(endOfTurnIds(tokenizer, template)).toEqual([128009]);
    const ids = encodeChat(template, tokenizer, chat);
    expect(ids.filter((id) => id === 128000)).toEqual([128000]);
    expect(ids[0]).toBe(128000);
    expect(template.render(chat, generate)).toContain(
      "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>",
    );
  });
});
