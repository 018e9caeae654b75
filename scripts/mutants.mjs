// `npm run mutants [-- part of a name]`: puts one fault at a time into the scheduler, the KV cache or offloading, in memory only, and
// runs the test that must fail with it, and must pass without. Fails where a fault survives or a test is not found.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MUTANTS } from "./mutants/list.mjs";
import { ROOT } from "./project.mjs";

/** A fault that makes a test run for ever is killed too, but says less than a failed expectation: it counts as survived. */
const TIMEOUT_MS = 120_000;

const reportDir = mkdtempSync(join(tmpdir(), "cairn-mutants-"));
/** @type {Map<string, string>} */
const withoutFault = new Map();
const wanted = process.argv[2] ?? "";
const rows = [];
for (const { name, testFile, test } of MUTANTS.filter((each) => each.name.includes(wanted))) {
  const startMs = performance.now();
  const key = `${testFile} ${test}`;
  if (!withoutFault.has(key)) withoutFault.set(key, await outcomeOf(testFile, test, {}));
  const before = withoutFault.get(key);
  const after = before === "passed" ? await outcomeOf(testFile, test, { CAIRN_MUTANT: name }) : "";
  const verdict =
    before !== "passed" ? `test ${before} without it` : after === "failed" ? "killed" : `SURVIVED: ${after}`;
  rows.push({ mutant: name, verdict, seconds: ((performance.now() - startMs) / 1000).toFixed(1), test });
  console.log(`${verdict}: ${name}`);
}
rmSync(reportDir, { recursive: true });
console.table(rows);
const numKilled = rows.filter(({ verdict }) => verdict === "killed").length;
console.log(`${numKilled} of ${rows.length} mutants killed`);
process.exitCode = rows.length > 0 && numKilled === rows.length ? 0 : 1;

/**
 * How the one test of that full name ended: "passed", "failed", or why there is no such verdict.
 * @param {string} testFile
 * @param {string} test
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>}
 */
async function outcomeOf(testFile, test, env) {
  const report = join(reportDir, "report.json");
  rmSync(report, { force: true });
  const pattern = `^${test.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`;
  const project = testFile.endsWith(".gpu.test.ts") ? "kernels" : "unit";
  const options = ["--project", project, "-t", pattern, "--reporter=json", `--outputFile=${report}`];
  const isInTime = await runVitest(["run", testFile, ...options], env);
  if (!isInTime) return "timed out";
  const { testResults } = JSON.parse(readFileSync(report, "utf8"));
  /** @type {{ status: string }[]} */
  const all = testResults.flatMap((/** @type {any} */ file) => file.assertionResults);
  const ran = all.filter(({ status }) => status === "passed" || status === "failed");
  return ran.length === 1 ? ran[0].status : `ran ${ran.length} times`;
}

/**
 * False where it had to be ended.
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<boolean>}
 */
function runVitest(args, env) {
  return new Promise((resolve, reject) => {
    const options = { cwd: ROOT, stdio: /** @type {const} */ ("ignore"), env: { ...process.env, ...env } };
    const child = spawn(process.execPath, [join("node_modules", "vitest", "vitest.mjs"), ...args], options);
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(timer);
      resolve(code !== null);
    });
  });
}
