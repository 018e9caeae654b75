import { type CairnEngine, createEngine } from "cairn-llm";
import OpenAI from "openai";

/** The engine's model: a hub's id or a folder's URL. The one that comes with the repository is tiny. */
const parameters = new URLSearchParams(location.search);
const modelName = parameters.get("model") ?? "/models/cairn-stories-3M/";

function find<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`The page has no ${id}.`);
  return element;
}

const form = find("form", HTMLFormElement);
const address = find("address", HTMLInputElement);
const key = find("key", HTMLInputElement);
const question = find("question", HTMLInputElement);
const askButton = find("ask", HTMLButtonElement);
const status = find("status", HTMLElement);
const answers = find("answers", HTMLOListElement);

// A link may propose a server, such as `?server=http://localhost:8000/v1`. Whether it is asked, the user says, on every visit anew:
// browsers put old choices back into forms, so the form begins as the page was written.
form.reset();
address.value = parameters.get("server") ?? "";

let engine: Promise<CairnEngine> | null = null;

/** Loaded when it is asked first. */
function theEngine(): Promise<CairnEngine> {
  engine ??= createEngine({ model: modelName }).catch((error) => {
    engine = null;
    throw error;
  });
  return engine;
}

/**
 * The two differ in `fetch` and the base URL. All that follows is the same code. The server must let pages of this origin ask it (vLLM:
 * `--allowed-origins`).
 */
async function makeClient(place: "page" | "server"): Promise<OpenAI> {
  const common = { dangerouslyAllowBrowser: true };
  if (place === "server") return new OpenAI({ ...common, baseURL: address.value, apiKey: key.value || "none" });
  // Nothing is sent to this address: the engine takes the requests before they would be.
  return new OpenAI({ ...common, baseURL: "http://cairn/v1", apiKey: "none", fetch: (await theEngine()).fetch });
}

async function ask(place: "page" | "server"): Promise<void> {
  const item = document.createElement("li");
  const client = await makeClient(place);
  const [model] = (await client.models.list()).data;
  if (!model) throw new Error("The server has no model.");
  answers.append(item);
  item.append(place === "page" ? `${model.id}, in this page: ` : `${model.id}, on ${new URL(client.baseURL).host}: `);
  const stream = await client.chat.completions.create({
    model: model.id,
    messages: [{ role: "user", content: question.value }],
    max_tokens: 200,
    stream: true,
  });
  for await (const { choices } of stream) item.append(choices[0]?.delta.content ?? "");
}

form.addEventListener("change", () => {
  address.required = new FormData(form).get("place") === "server";
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = new FormData(form).get("place") === "server" ? "server" : "page";
  askButton.disabled = true;
  status.textContent = place === "page" ? "The model in this page answers…" : `${address.value} answers…`;
  try {
    await ask(place);
    status.textContent = "";
  } catch (error) {
    status.textContent = error instanceof Error ? error.message : String(error);
  } finally {
    askButton.disabled = false;
  }
});
