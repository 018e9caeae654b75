import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "@playwright/test";

const LINUX_NAMES = [
  "google-chrome-stable",
  "google-chrome",
  "chromium",
  "chromium-browser",
  "microsoft-edge-stable",
  "microsoft-edge",
  "brave-browser",
];
const MAC_APPS = ["Google Chrome", "Chromium", "Microsoft Edge", "Brave Browser"];
const WINDOWS_PROGRAMS = [
  "Google\\Chrome\\Application\\chrome.exe",
  "Chromium\\Application\\chrome.exe",
  "Microsoft\\Edge\\Application\\msedge.exe",
];

/**
 * The Chromium-family browser that tests run in: CHROME_PATH, else an installed one, else Playwright's own.
 * @returns {string} path of its executable
 * @throws {Error} that says the one command to run, where there is none
 */
export function findBrowser() {
  const chosen = process.env.CHROME_PATH;
  if (chosen) {
    if (!existsSync(chosen)) throw new Error(`CHROME_PATH names a file that does not exist: ${chosen}`);
    return chosen;
  }
  const found = [...installedPlaces(), chromium.executablePath()].find((path) => existsSync(path));
  if (!found) {
    throw new Error(
      "No Chrome or Chromium was found. Set CHROME_PATH, or install one: npx playwright install chromium",
    );
  }
  return found;
}

/** @returns {string[]} */
function installedPlaces() {
  if (process.platform === "darwin") {
    return MAC_APPS.flatMap((app) => {
      const inside = `Applications/${app}.app/Contents/MacOS/${app}`;
      return [`/${inside}`, join(process.env.HOME ?? "/", inside)];
    });
  }
  if (process.platform === "win32") {
    const roots = [process.env.PROGRAMFILES, process.env["PROGRAMFILES(X86)"], process.env.LOCALAPPDATA];
    return roots.flatMap((root) => (root ? WINDOWS_PROGRAMS.map((program) => join(root, program)) : []));
  }
  const dirs = (process.env.PATH ?? "").split(delimiter).filter((dir) => dir !== "");
  return LINUX_NAMES.flatMap((name) => dirs.map((dir) => join(dir, name)));
}
