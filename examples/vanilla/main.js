import { createEngine } from "cairn-llm";

const engine = await createEngine({ model: "/models/cairn-stories-3M/" });
const stream = await engine.chat.completions.create({
  messages: [{ role: "user", content: "Hello!" }],
  temperature: 0,
  stream: true,
});
for await (const chunk of stream) document.body.append(chunk.choices[0]?.delta.content ?? "");
await engine.dispose();
