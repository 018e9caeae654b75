import { expect, test } from "vitest";
import { CairnError } from "../index";
import { describeError, errorDetails } from "./error-texts";

test("a full context leads to a new chat", () => {
  const text = describeError(new CairnError("context_length_exceeded", "1100 tokens, but the context holds 1024"));
  expect([text.headline, text.remedy]).toEqual(["The conversation no longer fits", "new-chat"]);
});

test("a missing file names what a folder must hold and offers another", () => {
  const text = describeError(new CairnError("model_file_missing", "config.json is missing", { file: "config.json" }));
  expect(text.remedy).toBe("other-model");
  expect(text.advice).toContain("config.json, tokenizer.json and one or more .safetensors files");
});

test("details hold the code and each datum", () => {
  const error = new CairnError("out_of_memory", "too large", { neededBytes: 12, label: "weights", missing: undefined });
  expect(errorDetails(error)).toBe('code: out_of_memory\nneededBytes: 12\nlabel: "weights"\nmissing: undefined');
});
