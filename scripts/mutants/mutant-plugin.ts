import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { MUTANTS } from "./list.mjs";

/** Puts the fault that CAIRN_MUTANT names into its file while that is loaded; the file itself stays as it is. */
export function mutant(): Plugin {
  const name = process.env.CAIRN_MUTANT;
  const fault = name === undefined ? null : MUTANTS.find((each) => each.name === name);
  if (fault === undefined) throw new Error(`there is no mutant "${name}"`);
  const path = fault && fileURLToPath(new URL(`../../${fault.file}`, import.meta.url)).replaceAll("\\", "/");
  return {
    name: "cairn-mutant",
    enforce: "pre",
    transform(code, id) {
      // A shader's id ends in its query, ?raw.
      if (!fault || id.split("?")[0] !== path) return null;
      return code.replace(fault.find, () => fault.replace);
    },
  };
}
