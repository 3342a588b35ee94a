import { FormatError } from '../../../core/errors.ts';

/** The Rock Ridge (IEEE P1282) entries of one directory record that are used here. */
export interface RockRidge {
  /** Bytes of the alternate name (NM), joined over continuations; empty if there is none. */
  readonly name: readonly Uint8Array[];
  /** POSIX `st_mode` (PX). */
  readonly mode: number | undefined;
  /** Block of the real directory that this placeholder stands for (CL: relocated deep directory). */
  readonly childBlock: number | undefined;
  /** The entry is a relocated directory, visible only at its placeholder (RE). */
  readonly relocated: boolean;
  /** The data is zisofs-compressed (ZF). */
  readonly compressed: boolean;
}

/** Where more entries of the same record are (SUSP 5.1, CE). */
export interface Continuation {
  readonly block: number;
  readonly offset: number;
  readonly length: number;
}

export interface SystemUse extends RockRidge {
  readonly continuation: Continuation | undefined;
}

export const NO_ROCK_RIDGE: RockRidge = {
  name: [],
  mode: undefined,
  childBlock: undefined,
  relocated: false,
  compressed: false,
};

const NM_CURRENT_OR_PARENT = 0x02 | 0x04;

/** SUSP entries of one area: signature and body (from byte 4 on). Stops at ST and at padding. */
function* entries(
  area: Uint8Array,
  where: number,
): Generator<{ signature: string; at: number; end: number }> {
  for (let at = 0; at + 4 <= area.length; ) {
    const length = area[at + 2] ?? 0;
    // Padding, or a foreign system use field: no SUSP entries follow.
    if (area[at] === 0 || length < 4) return;
    if (at + length > area.length) {
      throw new FormatError(`Rock Ridge entry at offset ${where + at} leaves its area`, {
        code: 'ISO_BAD_ROCK_RIDGE',
        context: { offset: where + at, length },
        hint: 'fetch the ISO again; it is damaged',
      });
    }
    const signature = String.fromCharCode(area[at] ?? 0, area[at + 1] ?? 0);
    if (signature === 'ST') return;
    yield { signature, at, end: at + length };
    at += length;
  }
}

/**
 * Looks for the SUSP indicator (SP) in the root directory's own `.` record.
 * Returns the bytes to skip at the start of every system use area; `undefined` without SUSP.
 */
export function decodeSuspIndicator(area: Uint8Array): number | undefined {
  if (area.length < 7 || area[0] !== 0x53 || area[1] !== 0x50 || area[2] !== 7) return undefined;
  return area[4] === 0xbe && area[5] === 0xef ? area[6] : undefined;
}

/** Decodes one system use area, or continuation area. `where` is its offset, for messages. */
export function decodeSystemUse(area: Uint8Array, where: number): SystemUse {
  const view = new DataView(area.buffer, area.byteOffset, area.length);
  const name: Uint8Array[] = [];
  let mode: number | undefined;
  let childBlock: number | undefined;
  let relocated = false;
  let compressed = false;
  let continuation: Continuation | undefined;
  for (const { signature, at, end } of entries(area, where)) {
    const length = end - at;
    if (signature === 'NM' && length >= 5) {
      if ((view.getUint8(at + 4) & NM_CURRENT_OR_PARENT) === 0)
        name.push(area.subarray(at + 5, end));
    } else if (signature === 'PX' && length >= 12) {
      mode = view.getUint32(at + 4, true);
    } else if (signature === 'CL' && length >= 12) {
      childBlock = view.getUint32(at + 4, true);
    } else if (signature === 'RE') {
      relocated = true;
    } else if (signature === 'ZF') {
      compressed = true;
    } else if (signature === 'CE' && length >= 28) {
      continuation = {
        block: view.getUint32(at + 4, true),
        offset: view.getUint32(at + 12, true),
        length: view.getUint32(at + 20, true),
      };
    }
  }
  return { name, mode, childBlock, relocated, compressed, continuation };
}

/** Entries of a record and of its continuation, as one. */
export function mergeRockRidge(first: RockRidge, more: RockRidge): RockRidge {
  return {
    name: [...first.name, ...more.name],
    mode: first.mode ?? more.mode,
    childBlock: first.childBlock ?? more.childBlock,
    relocated: first.relocated || more.relocated,
    compressed: first.compressed || more.compressed,
  };
}
