import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";

export interface ViteDevServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the project's own Vite and resolves once it says that it listens. */
export async function startViteDevServer(projectDir: string): Promise<ViteDevServer> {
  const port = await freePort();
  const args = [join("node_modules", "vite", "bin", "vite.js"), "--host", "127.0.0.1", "--port", `${port}`];
  const child = spawn(process.execPath, [...args, "--strictPort"], {
    cwd: projectDir,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  let output = "";
  await new Promise<void>((resolve, reject) => {
    const read = (data: Buffer): void => {
      output += data;
      if (output.includes(`:${port}`)) resolve();
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", (code) => reject(new Error(`Vite ended with code ${code}: ${output}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      child.kill();
      return exited;
    },
  };
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
