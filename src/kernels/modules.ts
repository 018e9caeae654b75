import activation from "../../shaders/common/activation.wgsl?raw";
import grid from "../../shaders/common/grid.wgsl?raw";
import kvAddress from "../../shaders/common/kv_address.wgsl?raw";
import kvLoadF16 from "../../shaders/common/kv_load_f16.wgsl?raw";
import kvLoadF32 from "../../shaders/common/kv_load_f32.wgsl?raw";
import kvStoreF16 from "../../shaders/common/kv_store_f16.wgsl?raw";
import kvStoreF32 from "../../shaders/common/kv_store_f32.wgsl?raw";
import norms from "../../shaders/common/norms.wgsl?raw";
import row from "../../shaders/common/row.wgsl?raw";
import step from "../../shaders/common/step.wgsl?raw";
import weightBf16 from "../../shaders/common/weight_bf16.wgsl?raw";
import weightF16 from "../../shaders/common/weight_f16.wgsl?raw";
import weightF32 from "../../shaders/common/weight_f32.wgsl?raw";
import type { WgslModule } from "../gpu/wgsl";

/** What a checkpoint's weights may be. */
export type FloatType = "f32" | "f16" | "bf16";
export type QuantType = "q8_0" | "q4_0";
/** What a Linear's rows may be. */
export type WeightType = FloatType | QuantType;
export type KvType = "f16" | "f32";

/** A file of shaders/common. */
export const commonModule = (file: string, source: string): WgslModule => ({ name: `common/${file}.wgsl`, source });

export const activationModule = commonModule("activation", activation);
export const gridModule = commonModule("grid", grid);
export const kvAddressModule = commonModule("kv_address", kvAddress);
export const normsModule = commonModule("norms", norms);
export const rowModule = commonModule("row", row);
export const stepModule = commonModule("step", step);

/** What defines weight_load8 for rows of floats. */
export const floatWeightModules: Readonly<Record<FloatType, readonly WgslModule[]>> = {
  f32: [commonModule("weight_f32", weightF32)],
  f16: [commonModule("weight_f16", weightF16)],
  bf16: [commonModule("weight_bf16", weightBf16)],
};

export const kvLoadModules: Readonly<Record<KvType, WgslModule>> = {
  f16: commonModule("kv_load_f16", kvLoadF16),
  f32: commonModule("kv_load_f32", kvLoadF32),
};

export const kvStoreModules: Readonly<Record<KvType, WgslModule>> = {
  f16: commonModule("kv_store_f16", kvStoreF16),
  f32: commonModule("kv_store_f32", kvStoreF32),
};
