/**
 * What a text keeps to, as a tree: the formats, and their names, are a part of XGrammar's structural tags (docs/structural_tag
 * of mlc-ai/xgrammar). Plain data.
 */
export type GrammarFormat =
  | { readonly type: "const_string"; readonly value: string }
  /** JSON on one line, with a space behind each comma and colon. */
  | {
      readonly type: "json_schema";
      readonly json_schema: Readonly<Record<string, unknown>>;
      /** What the caller calls the schema: errors name what is wrong in it by a path from there. */
      readonly param?: string;
    }
  /** Anything; within a tag, up to its end. */
  | { readonly type: "any_text" }
  | { readonly type: "sequence"; readonly elements: readonly GrammarFormat[] }
  | { readonly type: "or"; readonly elements: readonly GrammarFormat[] }
  | TagFormat
  /** Anything, until one of the triggers, each the beginning of a tag, begins that tag; and so on. */
  | {
      readonly type: "triggered_tags";
      readonly triggers: readonly string[];
      readonly tags: readonly TagFormat[];
      readonly at_least_one?: boolean;
      readonly stop_after_first?: boolean;
    }
  | {
      readonly type: "tags_with_separator";
      readonly tags: readonly TagFormat[];
      readonly separator: string;
      readonly at_least_one?: boolean;
      readonly stop_after_first?: boolean;
    };

export interface TagFormat {
  readonly type: "tag";
  readonly begin: string;
  readonly content: GrammarFormat;
  readonly end: string;
}
