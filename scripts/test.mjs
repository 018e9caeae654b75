// `npm test`: every suite in order, also after a failure; minutes a suite; one last line with the counts.
// `npm run soak` is the same with the long lists: tests ask for CAIRN_SOAK.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findBrowser } from "./find-browser.mjs";
import { ROOT, runNode, runTool } from "./project.mjs";

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 */

if (process.argv.includes("--soak")) process.env.CAIRN_SOAK = "1";

const REPORT_DIR = ".cache/test-reports";

const SUITES = {
  check: () => asOneTest(runTool("tsc", ["--noEmit"])),
  lint: () => asOneTest(runTool("biome", ["check", "--error-on-warnings"])),
  unit: () => runVitest("unit"),
  kernels: () => runVitest("kernels"),
  e2e: runPlaywright,
  budget: () => asOneTest(runNode(["scripts/budget.mjs"])),
};

/**
 * A command whose exit code is its only verdict.
 * @param {Promise<number>} exitCode
 * @returns {Promise<Counts>}
 */
async function asOneTest(exitCode) {
  const ok = (await exitCode) === 0;
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 };
}

/** @param {"unit" | "kernels"} project */
async function runVitest(project) {
  const report = freshReport(project);
  const args = ["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const exitCode = await runTool("vitest", args);
  return readCounts(exitCode, report, (json) => {
    // A file that could not even be loaded holds no test that failed.
    const brokenFiles = json.testResults.filter(
      (/** @type {any} */ file) => file.status === "failed" && file.assertionResults.length === 0,
    ).length;
    return {
      passed: json.numPassedTests,
      failed: json.numFailedTests + brokenFiles,
      skipped: json.numPendingTests + (json.numTodoTests ?? 0),
    };
  });
}

async function runPlaywright() {
  const buildCode = await runNode(["scripts/build.mjs", "--if-stale"]);
  if (buildCode !== 0) return { passed: 0, failed: 1, skipped: 0 };
  const report = freshReport("e2e");
  const exitCode = await runTool("playwright", ["test", "--reporter=list,json"], {
    PLAYWRIGHT_JSON_OUTPUT_FILE: report,
  });
  return readCounts(exitCode, report, ({ stats, errors }) => ({
    passed: stats.expected,
    failed: stats.unexpected + stats.flaky + (errors?.length ?? 0),
    skipped: stats.skipped,
  }));
}

/** @param {string} suite */
function freshReport(suite) {
  const file = join(ROOT, REPORT_DIR, `${suite}.json`);
  mkdirSync(join(ROOT, REPORT_DIR), { recursive: true });
  rmSync(file, { force: true });
  return file;
}

/**
 * A runner that failed without a test that did (no report, an error between tests) counts as one failure.
 * @param {number} exitCode
 * @param {string} report
 * @param {(json: any) => Counts} read
 * @returns {Counts}
 */
function readCounts(exitCode, report, read) {
  let counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    counts = read(JSON.parse(readFileSync(report, "utf8")));
  } catch (error) {
    console.error(`No readable report: ${error instanceof Error ? error.message : error}`);
    counts.failed = 1;
  }
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

try {
  console.log(`Browser: ${findBrowser()}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.log("0 passed, 1 failed");
  process.exit(1);
}

const totals = { passed: 0, failed: 0 };
const rows = [];
for (const [name, run] of Object.entries(SUITES)) {
  console.log(`\n== ${name}`);
  const startMs = performance.now();
  const counts = await run();
  const minutes = (performance.now() - startMs) / 60_000;
  totals.passed += counts.passed;
  totals.failed += counts.failed;
  rows.push({ suite: name, minutes: minutes.toFixed(2), ...counts });
}
console.log("");
console.table(rows);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 ? 0 : 1;
