import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page, TestInfo } from "@playwright/test";
import type { AxeResults } from "axe-core";
import { expect } from "./test";

const AXE_SOURCE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const LOOKS = [
  { width: 1280, colorScheme: "light" },
  { width: 390, colorScheme: "dark" },
  // Both widths and both schemes were there; what the other pairs have of their own is for the soak.
  ...(process.env.CAIRN_SOAK
    ? ([
        { width: 390, colorScheme: "light" },
        { width: 1280, colorScheme: "dark" },
      ] as const)
    : []),
] as const;

/** Looks at the page at both widths and in both schemes: a picture, what axe-core finds, and whether anything reaches past the edge. */
export async function inspect(page: Page, info: TestInfo, name: string): Promise<void> {
  await page.emulateMedia({ reducedMotion: "reduce" });
  for (const { width, colorScheme } of LOOKS) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    await page.screenshot({ path: info.outputPath(`${name}-${width}-${colorScheme}.png`) });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    expect(await axeViolations(page), `${name}, ${width} pixels, ${colorScheme}`).toEqual([]);
  }
}

async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(AXE_SOURCE);
  const { violations } = await page.evaluate(() => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<AxeResults> } };
    return axe.run();
  });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
}
