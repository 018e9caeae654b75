import { parse, tokenize } from "@huggingface/jinja";
import type { ChatInput, ChatMessage, ToolFormat } from "../protocol/messages";
import { CairnError, reasonOf } from "../util/errors";
import { isRecord } from "../util/json";
import { renderTemplate } from "./template-interpreter";
import type { Tokenizer } from "./tokenizer";
import type { TokenizerFiles } from "./tokenizer-files";

/** What is rendered beside the messages. */
export type RenderOptions = Omit<ChatInput, "kind" | "messages">;

/** Named tokens of tokenizer_config.json that templates may use as variables. */
const TOKEN_VARIABLES = ["bos_token", "eos_token", "unk_token", "pad_token"] as const;

/** A model's own Jinja template, which turns messages into the text that it was trained on. */
export class ChatTemplate {
  readonly #source: string;
  readonly #toolSource: string;
  readonly #variables: Readonly<Record<string, unknown>>;
  readonly #programs: Record<string, ReturnType<typeof parse>> = {};

  /**
   * The template of chat_template.jinja, else the default one of tokenizer_config.json, with the one named `tool_use` there where
   * tools are given; null when there is none.
   */
  static async load(files: TokenizerFiles, signal?: AbortSignal): Promise<ChatTemplate | null> {
    const options = { optional: true, signal, invalidCode: "invalid_tokenizer" } as const;
    const config = await files.readJson("tokenizer_config.json", options);
    const tokenizerConfig = isRecord(config) ? config : {};
    const file = await files.readText("chat_template.jinja", options);
    const source = file ?? templateOf(tokenizerConfig, "default");
    return source === null
      ? null
      : new ChatTemplate(source, tokenizerConfig, file ?? templateOf(tokenizerConfig, "tool_use"));
  }

  /**
   * `tokenizerConfig` is the content of tokenizer_config.json, `toolSource` the template for conversations with tools where that is
   * another one. A template that cannot be read fails when it is rendered.
   */
  constructor(source: string, tokenizerConfig: Readonly<Record<string, unknown>>, toolSource: string | null = null) {
    this.#source = source;
    this.#toolSource = toolSource ?? source;
    const tokens = TOKEN_VARIABLES.map((name) => [name, tokenContent(tokenizerConfig[name])] as const);
    this.#variables = Object.fromEntries(tokens.filter(([, content]) => content !== null));
  }

  /**
   * How it has the model write tool calls, by what is written in it. "json" where it has no format that Cairn reads: it is then
   * never given tools.
   */
  get toolFormat(): ToolFormat {
    const source = this.#toolSource;
    // Other families write something else than JSON between these tags.
    if (/<tool_call>/.test(source) && /"arguments\\?":/.test(source)) return "hermes";
    if (/\[TOOL_CALLS] ?\[/.test(source)) return "mistral";
    return source.includes('{"name": function name, "parameters"') ? "llama3" : "json";
  }

  /** It takes a message with the role system, and shows it. */
  get hasSystemRole(): boolean {
    const content = "An instruction";
    const messages = [
      { role: "system", content },
      { role: "user", content: "A question" },
    ];
    return !!renderOrNull(this, messages)?.includes(content);
  }

  /** It has the model think before it answers. */
  get hasReasoning(): boolean {
    return this.#source.includes("</think>");
  }

  /** Throws `chat_template` { reason } when the template is broken, refuses the messages, or takes far more work than one needs. */
  render(
    messages: readonly ChatMessage[],
    { tools, templateKwargs, addGenerationPrompt = true }: RenderOptions = {},
  ): string {
    try {
      // The line breaks and indents of lines that are only a tag are no text, as models' templates are written.
      const source = tools ? this.#toolSource : this.#source;
      this.#programs[source] ??= parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
      return renderTemplate(this.#programs[source], {
        ...this.#variables,
        // Templates ask whether these are none; left out, they would be undefined instead.
        documents: null,
        ...templateKwargs,
        tools: tools ?? null,
        messages,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (thrown) {
      const reason = reasonOf(thrown);
      const message = `The model's chat template failed: ${reason}`;
      throw new CairnError("chat_template", message, { reason }, { cause: thrown });
    }
  }
}

/** The template of that name, the default, or the only one. */
function templateOf({ chat_template: template }: Readonly<Record<string, unknown>>, name: string): string | null {
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) return null;
  const named = template.filter(isRecord);
  const find = (wanted: string) => named.find((entry) => entry.name === wanted);
  const chosen = find(name) ?? find("default") ?? (named.length === 1 ? named[0] : undefined);
  return typeof chosen?.template === "string" ? chosen.template : null;
}

function tokenContent(token: unknown): string | null {
  const content = isRecord(token) ? token.content : token;
  return typeof content === "string" ? content : null;
}

/** Prompt ids of a conversation. The template's own BOS counts; where it has none, the tokenizer adds its own. */
export function encodeChat(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: RenderOptions = {},
): number[] {
  const text = template.render(messages, options);
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const hasLeadingIds = tokenizer.leadingIds.every((id, index) => ids[index] === id);
  return hasLeadingIds ? ids : tokenizer.encode(text, { addSpecialTokens: true });
}

/** The added token with which the template ends an assistant's turn, such as <|im_end|>; empty when it uses none. */
export function endOfTurnIds(tokenizer: Tokenizer, template: ChatTemplate): number[] {
  const answer = "The answer of the assistant";
  const messages = [
    { role: "user", content: "A question" },
    { role: "assistant", content: answer },
  ];
  const text = renderOrNull(template, messages);
  if (text === null || !text.includes(answer)) return [];
  const afterAnswer = text.slice(text.lastIndexOf(answer) + answer.length).trimStart();
  const [first] = tokenizer.encode(afterAnswer, { addSpecialTokens: false });
  return first !== undefined && tokenizer.isAdded(first) ? [first] : [];
}

function renderOrNull(template: ChatTemplate, messages: readonly ChatMessage[]): string | null {
  try {
    return template.render(messages, { addGenerationPrompt: false });
  } catch {
    // Whatever is wrong with the template is said when a conversation is rendered.
    return null;
  }
}
