const WATCHED = [
  "Array",
  "ArrayBuffer",
  "Uint8Array",
  "Uint32Array",
  "Int32Array",
  "Float32Array",
  "Float64Array",
] as const;

/** Runs and returns the most elements that one array, buffer or `Array.from` was asked to have at its birth. */
export async function largestAllocation(run: () => Promise<void>): Promise<number> {
  let largest = 0;
  const originals = WATCHED.map((name) => [name, globalThis[name]] as const);
  for (const [name, original] of originals) {
    const watched: object = new Proxy(original as new (...parameters: unknown[]) => object, {
      construct(target, parameters, newTarget) {
        const [length] = parameters;
        if (parameters.length === 1 && typeof length === "number") largest = Math.max(largest, length);
        return Reflect.construct(target, parameters, newTarget === watched ? target : newTarget);
      },
    });
    Object.assign(globalThis, { [name]: watched });
  }
  try {
    await run();
  } finally {
    for (const [name, original] of originals) Object.assign(globalThis, { [name]: original });
  }
  return largest;
}
