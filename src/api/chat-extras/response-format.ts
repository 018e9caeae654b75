import type { GrammarFormat } from "../../sampling/grammar";
import { aBoolean, anObject, aString, type Check, oneOf, optional, refuseUnknown } from "../checks";
import { ANY_OBJECT } from "./answer-grammar";
import { aJsonObject, aName } from "./more-checks";

/** The field `response_format`: what the answer keeps to, null where that is any text. */
export const responseFormat: Check<GrammarFormat | null> = (value, param) => {
  const format = anObject(value, param);
  const type = oneOf("text", "json_object", "json_schema")(format.type, `${param}.type`);
  const known = type === "json_schema" ? ["type", "json_schema"] : ["type"];
  refuseUnknown(format, known, `${param}.`);
  if (type === "text") return null;
  return type === "json_object" ? ANY_OBJECT : jsonSchema(format.json_schema, `${param}.json_schema`);
};

const jsonSchema: Check<GrammarFormat> = (value, param) => {
  const fields = anObject(value, param);
  refuseUnknown(fields, ["name", "description", "schema", "strict"], `${param}.`);
  aName(fields.name, `${param}.name`);
  optional(fields, "description", aString, `${param}.`);
  optional(fields, "strict", aBoolean, `${param}.`);
  const path = `${param}.schema`;
  return { type: "json_schema", json_schema: aJsonObject(fields.schema, path), param: path };
};
