import { describe, expect, test } from "vitest";
import { outputTokenId, parseTrace, promptTokenIds } from "./trace";

const GOOD = { timestamp: 5, input_length: 600, output_length: 3, hash_ids: [4, 9] };

function line(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...GOOD, ...fields });
}

describe("parseTrace", () => {
  test("reads one request a line, and passes over empty lines", () => {
    const text = `${line({})}\r\n\n${line({ timestamp: 5.5, input_length: 512, hash_ids: [0] })}\n`;
    expect(parseTrace(text, "t.jsonl")).toEqual([
      { timestampMs: 5, numPromptTokens: 600, numOutputTokens: 3, hashIds: [4, 9] },
      { timestampMs: 5.5, numPromptTokens: 512, numOutputTokens: 3, hashIds: [0] },
    ]);
    expect(parseTrace("", "t.jsonl")).toEqual([]);
  });

  test.each([
    ["{", "line", "line is no JSON object"],
    ["[1]", "line", "line is no JSON object"],
    [line({ timestamp: "5" }), "timestamp", 'timestamp must be a number of at least 5, not "5"'],
    [line({ timestamp: 4 }), "timestamp", "timestamp must be a number of at least 5, not 4"],
    [line({ input_length: 0 }), "input_length", "input_length must be a positive integer, not 0"],
    [line({ output_length: undefined }), "output_length", "output_length must be a positive integer, not missing"],
    [line({ output_length: 1.5 }), "output_length", "output_length must be a positive integer, not 1.5"],
    [line({ hash_ids: 4 }), "hash_ids", "hash_ids must be a list of 2 ids for 600 tokens"],
    [line({ hash_ids: [4] }), "hash_ids", "hash_ids must be a list of 2 ids for 600 tokens"],
    [line({ input_length: 1025 }), "hash_ids", "hash_ids must be a list of 3 ids for 1025 tokens"],
    [line({ hash_ids: [4, -1] }), "hash_ids[1]", "hash_ids[1] must be an integer from 0 to 2^30 - 1, not -1"],
    [line({ hash_ids: ["4", 9] }), "hash_ids[0]", 'hash_ids[0] must be an integer from 0 to 2^30 - 1, not "4"'],
    [
      line({ hash_ids: [4, 2 ** 30] }),
      "hash_ids[1]",
      `hash_ids[1] must be an integer from 0 to 2^30 - 1, not ${2 ** 30}`,
    ],
  ])("%s is refused with file, line and field", (text, param, problem) => {
    const expected = { code: "invalid_request", message: `t.jsonl:3: ${problem}`, data: { param, place: "t.jsonl:3" } };
    expect(() => parseTrace(`${line({})}\n\n${text}\n`, "t.jsonl")).toThrow(expect.objectContaining(expected));
  });
});

describe("token ids", () => {
  test("blocks of 512 tokens are equal exactly where their hash ids are, the last one as far as it goes", () => {
    const ids = promptTokenIds({ timestampMs: 0, numPromptTokens: 1100, numOutputTokens: 1, hashIds: [7, 3, 7] });
    expect(ids.length).toBe(1100);
    expect(ids.slice(0, 512)).toEqual(new Array(512).fill(7));
    expect(ids.slice(512, 1024)).toEqual(new Array(512).fill(3));
    expect(ids.slice(1024)).toEqual(new Array(76).fill(7));
  });

  test("outputs have ids of their own, which no prompt may have", () => {
    expect([outputTokenId(0), outputTokenId(1)]).toEqual([2 ** 30, 2 ** 30 + 1]);
  });
});
