import { readFileSync } from "node:fs";
import { CairnError } from "../util/errors";
import { describeLoads, LOADS_CASES, measureLoads } from "./loads";
import { describeOptions, parseOptions } from "./options";
import { formatReport, makeReport } from "./report";
import { measureScaling, SCALING_CASES } from "./scaling";
import { simulate } from "./simulator";
import { parseTrace } from "./trace";

const USAGE = `npm run simulate -- TRACE [name=value ...] [--json]    replay a trace (JSON lines, as Mooncake's)
npm run simulate -- scaling [--json]                   what a step costs by requests that run and wait
npm run simulate -- loads [--json]                     what bounds requests that load from RAM, compared

${describeOptions()}`;

/** Tables that take no options: the rows as JSON, and as a reader sees them. */
const TABLES: Readonly<Record<string, () => { readonly rows: readonly object[]; readonly table: readonly object[] }>> =
  {
    scaling() {
      for (const scalingCase of SCALING_CASES) measureScaling(scalingCase); // The first rows would pay for the compiler.
      const rows = SCALING_CASES.map(measureScaling);
      return { rows, table: rows.map((row) => ({ ...row, microsecondsPerStep: Math.round(row.microsecondsPerStep) })) };
    },
    loads() {
      const rows = LOADS_CASES.map((loadsCase) => measureLoads(loadsCase));
      return { rows, table: rows.map(describeLoads) };
    },
  };

/** Runs the command line and prints a table and one line of JSON, or only the JSON. Throws CairnError for what it cannot read. */
export function main(args: readonly string[]): void {
  const jsonOnly = args.includes("--json");
  const [target, ...settings] = args.filter((arg) => arg !== "--json");
  if (target === undefined || target === "--help") console.log(USAGE);
  else if (Object.hasOwn(TABLES, target)) printTable(target, settings, jsonOnly);
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

function printTable(name: string, settings: readonly string[], jsonOnly: boolean): void {
  if (settings.length > 0) {
    const message = `${name} takes no options, not ${settings.join(" ")}`;
    throw new CairnError("unsupported_parameter", message, { param: settings[0] });
  }
  const { rows, table } = TABLES[name]();
  if (!jsonOnly) console.table(table);
  console.log(JSON.stringify(rows));
}
