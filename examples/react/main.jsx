import { useChat } from "@ai-sdk/react";
import { StrictMode, useEffect, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import { acquireEngine, createTransport, releaseEngine } from "./engine";

/** The engine once it is loaded, or what went wrong; null before. */
function useEngine() {
  const [state, setState] = useState({ engine: null, error: null });
  useEffect(() => {
    let isMounted = true;
    const show = (next) => isMounted && setState(next);
    acquireEngine().then(
      (engine) => show({ engine, error: null }),
      (error) => show({ engine: null, error }),
    );
    return () => {
      isMounted = false;
      releaseEngine();
    };
  }, []);
  return state;
}

function ChatOfPage() {
  const { engine, error } = useEngine();
  if (error) return <p role="alert">{error.message}</p>;
  return engine ? <Chat engine={engine} /> : <p>Loading the model…</p>;
}

function Chat({ engine }) {
  const transport = useMemo(() => createTransport(engine), [engine]);
  const { messages, sendMessage, status, stop, error } = useChat({ transport });
  const [text, setText] = useState("Tell me a story about a brave fox.");
  const isBusy = status === "submitted" || status === "streaming";

  function send(event) {
    event.preventDefault();
    sendMessage({ text });
    setText("");
  }

  return (
    <>
      {messages.map((message) => (
        <p key={message.id} data-role={message.role}>
          <b>{message.role}: </b>
          {message.parts.map((part) => (part.type === "text" ? part.text : ""))}
        </p>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={send}>
        <input aria-label="Message" size="50" value={text} onChange={(event) => setText(event.target.value)} />
        {isBusy ? (
          // Aborts the generation: the GPU stops too.
          <button type="button" onClick={stop}>
            Stop
          </button>
        ) : (
          <button type="submit">Send</button>
        )}
      </form>
    </>
  );
}

function App() {
  const [isOpen, setOpen] = useState(true);
  return (
    <>
      <h1>Cairn with React</h1>
      {isOpen && <ChatOfPage />}
      <p>
        <button type="button" onClick={() => setOpen(!isOpen)}>
          {isOpen ? "Close the chat, and free the GPU" : "Open the chat"}
        </button>
      </p>
    </>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
