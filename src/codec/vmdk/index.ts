/** The VMDK streamOptimized codec: VMDK <-> (raw disk, recipe). */
export { type DecodeOptions, decodeVmdk, type VmdkDecoding } from './decode.ts';
export { type EncodeOptions, encodeVmdk, isSequential, vmdkEncoder } from './encode.ts';
export { diskSize } from './layout.ts';
export { parseRecipe, serializeRecipe, type VmdkRecipe } from './recipe.ts';
