/** What a chat template may use beside Jinja's own: the names under which the format's own renderer gives them. */
export const TEMPLATE_GLOBALS: Readonly<Record<string, unknown>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  raise_exception(message: unknown): never {
    throw new Error(String(message));
  },
  strftime_now: (format: string): string => formatTime(new Date(), format),
};

function range(first: number, end?: number, step = 1): number[] {
  if (step === 0) throw new Error("range() step must not be zero");
  const [start, stop] = end === undefined ? [0, first] : [first, end];
  return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, i) => start + i * step);
}

/** In English, whatever the browser speaks: that is what models were trained on. */
export function formatTime(date: Date, format: string): string {
  const name = (month: "short" | "long") => new Intl.DateTimeFormat("en", { month }).format(date);
  const parts: Readonly<Record<string, string | number>> = {
    Y: date.getFullYear(),
    m: date.getMonth() + 1,
    d: date.getDate(),
    H: date.getHours(),
    M: date.getMinutes(),
    b: name("short"),
    B: name("long"),
    "%": "%",
  };
  return format.replace(/%([YmdHMbB%])/g, (_, letter: string) => {
    const part = parts[letter];
    return typeof part === "number" ? String(part).padStart(2, "0") : part;
  });
}
