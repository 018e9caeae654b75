import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout } from "node:timers/promises";

export interface ViteDevServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the project's own Vite and resolves once it answers. */
export async function startViteDevServer(projectDir: string): Promise<ViteDevServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const args = ["node_modules/vite/bin/vite.js", "--host", "127.0.0.1", "--port", `${port}`, "--strictPort"];
  const child = spawn(process.execPath, args, { cwd: projectDir, stdio: ["ignore", "ignore", "inherit"] });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  while (!(await answers(url))) {
    if (child.exitCode !== null) throw new Error(`Vite ended with code ${child.exitCode}.`);
    await setTimeout(100);
  }
  return {
    url,
    close: () => {
      child.kill();
      return exited;
    },
  };
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.ok,
    () => false,
  );
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = address && typeof address === "object" ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
