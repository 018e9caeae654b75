import type { GrammarFormat, TagFormat } from "../grammar";
import { schemaGrammar } from "./schema-grammar";

/** A format as XGrammar takes it: schemas as EBNF; `spell` sees each text that is written as it stands. Throws as schemaGrammar. */
export function structuralTag(format: GrammarFormat, spell: (text: string) => string): unknown {
  const convert = (inner: GrammarFormat) => structuralTag(inner, spell);
  switch (format.type) {
    case "const_string":
      return { ...format, value: spell(format.value) };
    case "json_schema":
      return { type: "grammar", grammar: schemaGrammar(format.json_schema, format.param ?? "schema") };
    case "any_text":
      return format;
    case "sequence":
    case "or":
      return { ...format, elements: format.elements.map(convert) };
    case "tag":
      return tag(format, spell);
    case "triggered_tags":
      return { ...format, triggers: format.triggers.map(spell), tags: format.tags.map((inner) => tag(inner, spell)) };
    case "tags_with_separator":
      return { ...format, separator: spell(format.separator), tags: format.tags.map((inner) => tag(inner, spell)) };
    default:
      return format satisfies never;
  }
}

function tag({ type, begin, content, end }: TagFormat, spell: (text: string) => string): unknown {
  return { type, begin: spell(begin), content: structuralTag(content, spell), end: spell(end) };
}
