import { CairnError } from "../util/errors";
import { briefJson, briefValue, isRecord } from "../util/json";

/** Reads checked fields of a JSON object; null counts as absent. Every refusal is `invalid_config` { field, value }. */
export class ConfigReader {
  readonly #json: Record<string, unknown>;
  readonly #path: string;

  /** `path` goes before the field's name in errors: "" or, for example, "rope_scaling". */
  constructor(json: unknown, path = "") {
    this.#path = path;
    if (!isRecord(json)) throw invalidConfig(path || "config.json", json, "must be a JSON object");
    this.#json = json;
  }

  raw(field: string): unknown {
    return Object.hasOwn(this.#json, field) ? (this.#json[field] ?? undefined) : undefined;
  }

  has(field: string): boolean {
    return this.raw(field) !== undefined;
  }

  /** The object at `field`, or null when there is none. */
  object(field: string): ConfigReader | null {
    const value = this.raw(field);
    return value === undefined ? null : new ConfigReader(value, this.#pathOf(field));
  }

  positiveInt(field: string, fallback?: number, max = 2 ** 31 - 1): number {
    const value = this.raw(field) ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw this.refusal(field, `must be an integer from 1 to ${max}`);
  }

  positiveNumber(field: string, fallback?: number): number {
    const value = this.raw(field) ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw this.refusal(field, "must be a number greater than 0");
  }

  boolean(field: string, fallback: boolean): boolean {
    const value = this.raw(field) ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.refusal(field, "must be true or false");
  }

  /** A number from `min` to `max`, or null when absent. */
  optionalNumber(field: string, min: number, max: number): number | null {
    const value = this.raw(field);
    if (value === undefined) return null;
    if (typeof value === "number" && value >= min && value <= max) return value;
    throw this.refusal(field, `must be a number from ${min} to ${max}`);
  }

  /** One id or a list of ids below `vocabSize`; empty when absent. */
  tokenIds(field: string, vocabSize: number): number[] {
    const value = this.raw(field) ?? [];
    const ids: unknown[] = Array.isArray(value) ? value : [value];
    const isTokenId = (id: unknown): id is number => Number.isInteger(id) && Number(id) >= 0 && Number(id) < vocabSize;
    if (ids.every(isTokenId)) return ids;
    throw this.refusal(field, `must be token ids below vocab_size ${vocabSize}`);
  }

  /** Throws unless `field` is absent or has one of the values with which it changes nothing. */
  requireNeutral(field: string, neutral: readonly unknown[]): void {
    const value = this.raw(field);
    if (value === undefined || neutral.includes(value)) return;
    throw this.refusal(field, "is not supported");
  }

  refusal(field: string, reason: string): CairnError {
    return invalidConfig(this.#pathOf(field), this.raw(field) ?? null, reason);
  }

  #pathOf(field: string): string {
    return this.#path ? `${this.#path}.${field}` : field;
  }
}

function invalidConfig(field: string, value: unknown, reason: string): CairnError {
  const message = `The model's config cannot be used: ${field} is ${briefJson(value)}, which ${reason}.`;
  return new CairnError("invalid_config", message, { field, value: briefValue(value) });
}
