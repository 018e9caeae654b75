/** A WGSL file as imported with `?raw`; `name` is its path under shaders/, for error messages. */
export interface WgslModule {
  readonly name: string;
  readonly source: string;
}

/** The lines that go before a shader: what a const-expression needs and an override cannot give. */
export interface Prelude {
  /** WGSL extensions, without `enable` and semicolon. */
  readonly enables?: readonly string[];
  /** `const NAME = value;` lines. */
  readonly constants?: Readonly<Record<string, string>>;
  /** `alias NAME = type;` lines. */
  readonly aliases?: Readonly<Record<string, string>>;
}

export interface ComposedWgsl {
  readonly code: string;
  /** Maps a 1-based line of `code` to its file and the line there. */
  locate(line: number): { readonly file: string; readonly line: number };
}

/** Joins prelude, common modules and shader. Directives come first, as WGSL demands; the order of the rest does not matter. */
export function composeWgsl(prelude: Prelude, modules: readonly WgslModule[]): ComposedWgsl {
  const head = [
    ...(prelude.enables ?? []).map((name) => `enable ${name};`),
    ...Object.entries(prelude.aliases ?? {}).map(([name, type]) => `alias ${name} = ${type};`),
    ...Object.entries(prelude.constants ?? {}).map(([name, value]) => `const ${name} = ${value};`),
  ];
  const parts: WgslModule[] = [{ name: "prelude", source: head.join("\n") }, ...modules];
  const firstLines: number[] = [];
  let nextLine = 1;
  for (const part of parts) {
    firstLines.push(nextLine);
    nextLine += part.source.split("\n").length;
  }
  return {
    code: parts.map((part) => part.source).join("\n"),
    locate(line) {
      const index = firstLines.findLastIndex((first) => first <= line);
      return { file: parts[index].name, line: line - firstLines[index] + 1 };
    },
  };
}
