import type { Quantization } from "./remote-model";

/** An entry of public/models.json: a model that Cairn is known to run. */
export interface CuratedModel {
  /** The hub's "owner/name". */
  readonly id: string;
  readonly name: string;
  /** Of its weights as they lie on the hub; about. */
  readonly downloadBytes: number;
  readonly licence: string;
  /** The longest context that the model was made for, in tokens. */
  readonly context: number;
  /** What is proposed for it. */
  readonly quantization: Quantization;
  /** The hub wants an account that has accepted the licence, and its token. */
  readonly isGated: boolean;
}

/** The list that is served beside the page. */
export async function fetchCuratedModels(): Promise<readonly CuratedModel[]> {
  const response = await fetch("models.json");
  if (!response.ok) throw new Error(`models.json: status ${response.status}`);
  return response.json();
}
