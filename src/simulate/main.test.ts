import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("../../scripts/simulate.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cairn-simulate-"));
const trace = join(folder, "trace.jsonl");
writeFileSync(trace, '{"timestamp":0,"input_length":600,"output_length":4,"hash_ids":[0,1]}\n'.repeat(3));
afterAll(() => rmSync(folder, { recursive: true }));

function output(...args: string[]): string {
  return execFileSync(process.execPath, [SCRIPT, ...args], { encoding: "utf8" });
}

test("--json prints one line of JSON and nothing else", () => {
  const report = JSON.parse(output(trace, "--json", "numRequests=2"));
  expect(report.requests.numFinished).toBe(2);
  expect(report.options.numRequests).toBe(2);
  expect(report.wall.ms).toBeGreaterThan(0);
});

test("a table comes before the JSON", () => {
  const lines = output(trace).trimEnd().split("\n");
  expect(lines[0]).toBe("requests finished         3");
  expect(JSON.parse(lines.at(-1)!).requests.numFinished).toBe(3);
});

test("without a trace it tells how to use it", () => {
  const lines = output().split("\n");
  expect(lines[0]).toMatch(/^npm run simulate -- TRACE /);
  expect(lines[1]).toMatch(/^npm run simulate -- scaling /);
  expect(lines[2]).toMatch(/^npm run simulate -- loads /);
  expect(lines[4]).toMatch(/^ {2}blockSize=16 /);
});

test.each([
  [[trace, "speed=2"], "There is no option speed."],
  [[join(folder, "none.jsonl")], "ENOENT: no such file"],
  [["scaling", "blockSize=16"], "scaling takes no options, not blockSize=16"],
  [["loads", "x=1", "y=2"], "loads takes no options, not x=1 y=2"],
])("%j ends with an error in words", (args, message) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [SCRIPT, ...args], { encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(new RegExp(`^${message}`));
  expect(stderr.trimEnd().split("\n").length).toBe(1);
});
