import type { DiskRun } from '../../core/io/disk-run.ts';
import { isLuks, opaqueKind } from '../../formats/compressed/opaque.ts';

/** Looks for data that matches nothing, in what is matched. */
export interface OpaqueWatch {
  watch(runs: AsyncIterable<DiskRun>): AsyncIterable<DiskRun>;
  /** "compressed with lz4", once the runs have ended; undefined if there was nothing of that kind. */
  found(): string | undefined;
}

/** Partitions begin at multiples of this, in bytes. */
const ALIGNED = 4096;

export function watchOpaque(): OpaqueWatch {
  let found: string | undefined;
  return {
    async *watch(runs) {
      found = undefined;
      let position = 0;
      for await (const run of runs) {
        if (run.kind === 'data' && found === undefined) {
          if (position === 0) found = opaqueKind(run.bytes);
          const at = luksIn(run.bytes, position);
          if (at !== undefined) found ??= `encrypted by LUKS from byte ${position + at} on`;
        }
        position += run.kind === 'data' ? run.bytes.length : run.length;
        yield run;
      }
    },
    found: () => found,
  };
}

/** Where in these bytes an encrypted partition begins. */
function luksIn(bytes: Uint8Array, position: number): number | undefined {
  const first = (ALIGNED - (position % ALIGNED)) % ALIGNED;
  for (let at = first; at < bytes.length; at += ALIGNED) if (isLuks(bytes, at)) return at;
  return undefined;
}
