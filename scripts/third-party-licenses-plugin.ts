import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

interface PackageManifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/** Finds the packages that a bundle contains and writes their licence texts to one file of the output. */
export function thirdPartyLicenses(fileName: string): { readonly collect: Plugin; readonly emit: Plugin } {
  const packageDirs = new Set<string>();
  const collectFrom = (bundle: Record<string, { type: string; moduleIds?: readonly string[] }>): void => {
    for (const chunk of Object.values(bundle)) {
      for (const id of chunk.moduleIds ?? []) {
        const dir = packageDirOf(id);
        if (dir) packageDirs.add(dir);
      }
    }
  };
  return {
    collect: {
      name: "cairn-licenses-collect",
      generateBundle(_options, bundle) {
        collectFrom(bundle);
      },
    },
    emit: {
      name: "cairn-licenses-emit",
      generateBundle(_options, bundle) {
        collectFrom(bundle);
        const texts = [...packageDirs].sort().map(licenseText);
        this.emitFile({ type: "asset", fileName, source: texts.join(`\n${"=".repeat(80)}\n\n`) });
      },
    },
  };
}

function packageDirOf(moduleId: string): string | null {
  return /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(moduleId)?.[1] ?? null;
}

function licenseText(dir: string): string {
  const manifest = JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) as PackageManifest;
  const file = readdirSync(dir).find((name) => /^licen[cs]e/i.test(name));
  const text = file ? readFileSync(join(dir, file), "utf8") : ownLicenseText(manifest);
  const heading = `${manifest.name} ${manifest.version} (${manifest.license ?? "see below"})`;
  return `${heading}\n\n${text.trim()}\n`;
}

/** Of a package without a licence file: what is known of its licences, and the text of the Apache License, which is ours too. */
function ownLicenseText({ name, license }: PackageManifest): string {
  const notice = join(import.meta.dirname, "licenses", `${name.replace("/", "+")}.txt`);
  if (license !== "Apache-2.0" || !existsSync(notice)) {
    throw new Error(`${name} is bundled, but its package has no licence file, and scripts/licenses has none for it.`);
  }
  return readFileSync(notice, "utf8") + readFileSync(join(import.meta.dirname, "../LICENSE"), "utf8");
}
