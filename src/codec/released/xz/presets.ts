/** liblzma's presets (src/liblzma/lzma/lzma_encoder_presets.c): the dictionary sizes of -0 to -9, as powers of 2. */
const DICTIONARY_BITS = [18, 20, 21, 22, 22, 23, 23, 24, 25, 26] as const;

/** A preset, with or without `-e`. */
export interface Preset {
  /** 0 to 9. */
  readonly preset: number;
  readonly extreme: boolean;
}

/** Each once, in bytes: 256 KiB to 64 MiB. */
export const DICTIONARIES: readonly number[] = [
  ...new Set(DICTIONARY_BITS.map((bits) => 2 ** bits)),
];

export const dictionaryOf = ({ preset }: Preset): number => 2 ** (DICTIONARY_BITS[preset] ?? 0);

/** Arguments of liblzma's functions. */
export const presetNumber = ({ preset, extreme }: Preset): number =>
  preset + (extreme ? 2 ** 31 : 0);

/** The presets with a dictionary of this size; the usual ones first. */
export function presetsOf(dictionary: number): Preset[] {
  const numbers = DICTIONARY_BITS.flatMap((bits, preset) =>
    2 ** bits === dictionary ? [preset] : [],
  ).reverse();
  return [false, true].flatMap((extreme) => numbers.map((preset) => ({ preset, extreme })));
}

/** After how many bytes xz ends a block if it compresses with threads. */
export const blockSizeOf = (dictionary: number): number => Math.max(3 * dictionary, 1 << 20);

/** Memory of an encoder, in bytes: its match tables depend on the dictionary. */
export const encoderMemory = (preset: Preset): number => 10.5 * dictionaryOf(preset) + (8 << 20);
