/** Values of a WGSL params struct whose members are all u32 or f32, in the struct's order. */
export type ParamValues = readonly (readonly [type: "u32" | "f32", value: number])[];

/** Packs them as WGSL lays out such a struct in the uniform address space: 4 bytes each. */
export function packParams(values: ParamValues): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(values.length);
  const floats = new Float32Array(words.buffer);
  values.forEach(([type, value], index) => {
    if (type === "f32") floats[index] = value;
    else words[index] = value;
  });
  return words;
}

export const u32 = (value: number) => ["u32", value] as const;
export const f32 = (value: number) => ["f32", value] as const;
