import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/project.mjs";

export interface Tarball {
  readonly path: string;
  /** Paths inside the package. */
  readonly files: readonly string[];
}

export type Tool = "vite" | "webpack" | "esbuild" | "typescript";

/** Packs what `npm publish` would send. `dist` must have been built. */
export function packTarball(targetDir: string): Tarball {
  const json = npm(ROOT, "pack", "--json", "--ignore-scripts", "--pack-destination", targetDir);
  const parsed = JSON.parse(json) as PackReport[] | Record<string, PackReport>;
  const [report] = Object.values(parsed);
  if (!report) throw new Error(`npm pack said: ${json}`);
  return { path: join(targetDir, report.filename), files: report.files.map((file) => file.path) };
}

interface PackReport {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** A fresh project outside the repository, with the tarball installed; the build tools are links to the repository's. */
export class TempProject {
  readonly dir: string;

  constructor(tarball: Tarball, tools: readonly Tool[]) {
    this.dir = mkdtempSync(join(tmpdir(), "cairn-package-"));
    cpSync(installedProject(tarball), this.dir, { recursive: true });
    for (const tool of tools) {
      symlinkSync(join(ROOT, "node_modules", tool), join(this.dir, "node_modules", tool), "junction");
    }
  }

  /** `path` is relative to the project; folders are made. */
  write(path: string, text: string): void {
    const file = join(this.dir, path);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, text);
  }

  /** Copies a file or folder of the repository. */
  copyFromRepository(from: string, to: string): void {
    cpSync(join(ROOT, from), join(this.dir, to), { recursive: true });
  }

  /** Runs Node in the project and returns what it printed; throws where it fails, with all that it printed. */
  node(...args: string[]): string {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: this.dir, encoding: "utf8" });
    if (status !== 0) throw new Error(`node ${args.join(" ")} ended with ${status}:\n${stdout}${stderr}`);
    return stdout;
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A project with the tarball really installed, beside it. */
function installedProject({ path }: Tarball): string {
  const dir = join(path, "../installed");
  if (existsSync(join(dir, "node_modules"))) return dir;
  mkdirSync(dir);
  writeFileSync(join(dir, "package.json"), JSON.stringify({ name: "fresh-project", private: true, type: "module" }));
  npm(dir, "install", "--offline", "--no-audit", "--no-fund", path);
  return dir;
}

function npm(cwd: string, ...args: string[]): string {
  const isWindows = process.platform === "win32";
  return execFileSync(isWindows ? "npm.cmd" : "npm", args, { cwd, encoding: "utf8", stdio: "pipe", shell: isWindows });
}
