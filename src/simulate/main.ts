import { readFileSync } from "node:fs";
import { CairnError } from "../util/errors";
import { describeOptions, parseOptions } from "./options";
import { formatReport, makeReport } from "./report";
import { measureScaling, SCALING_CASES } from "./scaling";
import { simulate } from "./simulator";
import { parseTrace } from "./trace";

const USAGE = `npm run simulate -- TRACE [name=value ...] [--json]    replay a trace (JSON lines, as Mooncake's)
npm run simulate -- scaling [--json]                   what a step costs by requests that run and wait

${describeOptions()}`;

/** Runs the command line and prints a table and one line of JSON, or only the JSON. Throws CairnError for what it cannot read. */
export function main(args: readonly string[]): void {
  const jsonOnly = args.includes("--json");
  const [target, ...settings] = args.filter((arg) => arg !== "--json");
  if (target === undefined || target === "--help") console.log(USAGE);
  else if (target === "scaling") runScaling(settings, jsonOnly);
  else runTrace(target, settings, jsonOnly);
}

function runTrace(file: string, settings: readonly string[], jsonOnly: boolean): void {
  const options = parseOptions(settings);
  const trace = parseTrace(readFileSync(file, "utf8"), file).slice(0, options.numRequests ?? undefined);
  const startMs = performance.now();
  const result = simulate(trace, options);
  const report = makeReport(result, options, performance.now() - startMs);
  if (!jsonOnly) console.log(formatReport(report));
  console.log(JSON.stringify(report));
}

function runScaling(settings: readonly string[], jsonOnly: boolean): void {
  if (settings.length > 0) {
    throw new CairnError("unsupported_parameter", `scaling takes no options, not ${settings.join(" ")}`, {
      param: settings[0],
    });
  }
  for (const scalingCase of SCALING_CASES) measureScaling(scalingCase); // The first rows would pay for the compiler.
  const rows = SCALING_CASES.map(measureScaling);
  if (!jsonOnly) {
    console.table(rows.map((row) => ({ ...row, microsecondsPerStep: Math.round(row.microsecondsPerStep) })));
  }
  console.log(JSON.stringify(rows));
}
