import { type ChatCompletion, createEngine } from "cairn-llm";
import { DOCUMENT } from "./document";

/** A hub's id or a folder's URL. The model that comes with the repository is tiny, and answers about stories are what it does best. */
const model = new URLSearchParams(location.search).get("model") ?? "/models/cairn-stories-3M/";

function find<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`The page has no ${id}.`);
  return element;
}

const status = find("status", HTMLElement);
const question = find("question", HTMLInputElement);
const askButton = find("ask", HTMLButtonElement);
const forgetButton = find("forget", HTMLButtonElement);
find("document", HTMLElement).textContent = DOCUMENT;

// KV in storage can tell what was asked, so it is kept apart by the app's name, and only for as long as it is used.
const engine = await createEngine({ model, namespace: "cairn-example-rag" });

/** What does not change comes first: KV belongs to the tokens from the very beginning, and the first difference ends what can be shared. */
function messagesFor(text: string) {
  return [
    { role: "system", content: DOCUMENT },
    { role: "user", content: text },
  ] as const;
}

async function ask(text: string): Promise<void> {
  const answer = await engine.chat.completions.create({ messages: messagesFor(text), temperature: 0, max_tokens: 60 });
  addRow(text, answer);
  // Makes what was computed durable at once. It would also happen by itself, when the page is hidden.
  await engine.kv.flush();
}

function addRow(text: string, { choices: [choice], usage, timings }: ChatCompletion): void {
  const { cached_tokens, cached_tokens_by_tier: tiers } = usage.prompt_tokens_details;
  const row = find("answers", HTMLTableSectionElement).insertRow();
  const numComputed = usage.prompt_tokens - cached_tokens;
  const firstToken = `${Math.round(timings.time_to_first_token_ms)} ms`;
  const counts = [usage.prompt_tokens, numComputed, tiers.gpu, tiers.host, tiers.storage].map(String);
  for (const cell of [text, choice.message.content ?? "", ...counts, firstToken]) row.insertCell().textContent = cell;
}

/** One thing at a time, so that the numbers are those of one question. */
async function whileBusy(what: string, work: () => Promise<void>): Promise<void> {
  askButton.disabled = forgetButton.disabled = true;
  status.textContent = what;
  try {
    await work();
    status.textContent = "Ready.";
  } catch (error) {
    status.textContent = error instanceof Error ? error.message : String(error);
  } finally {
    askButton.disabled = forgetButton.disabled = false;
  }
}

find("form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void whileBusy("Thinking…", () => ask(question.value));
});
forgetButton.addEventListener("click", () => void whileBusy("Forgetting…", () => engine.kv.clear()));

// Brings the document's KV back to the GPU before anybody asks, where an earlier visit left it in storage. It computes nothing.
void whileBusy("Looking for the document's KV…", async () => {
  const { tokens } = await engine.kv.prefetch({ messages: messagesFor("") });
  console.log("KV of the document, by tier:", tokens);
});
