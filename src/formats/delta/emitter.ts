import type { Sink } from '../../core/io/sink.ts';
import { encodeCopy, encodeEnd, encodeLiteralHeader, encodeMagic } from './librsync.ts';

export interface DeltaStats {
  copies: number;
  /** Literal bytes in the delta. */
  literalBytes: number;
}

/**
 * Collects commands synchronously and merges COPYs that continue each other; `flush` hands the
 * encoded bytes on. Literal data is copied, so the caller may reuse its memory.
 */
export interface Emitter {
  copy(offset: number, length: number): void;
  literal(data: Buffer): void;
  /** `length` zeros: COPYs of the base's zero run, or a literal if the base has none. */
  zeros(length: number): void;
  flush(): Promise<void>;
  finish(): Promise<DeltaStats>;
}

type Pending = { readonly bytes: Buffer } | { readonly zeros: number };

export function createEmitter(
  sink: Sink,
  zeroRun: { readonly start: number; readonly length: number },
): Emitter {
  const pending: Pending[] = [{ bytes: encodeMagic() }];
  const stats: DeltaStats = { copies: 0, literalBytes: 0 };
  let open: { offset: number; length: number } | undefined;

  function closeCopy(): void {
    if (open === undefined) return;
    pending.push({ bytes: encodeCopy(open.offset, open.length) });
    stats.copies++;
    open = undefined;
  }

  function copy(offset: number, length: number): void {
    if (length === 0) return;
    if (open && open.offset + open.length === offset) {
      open.length += length;
      return;
    }
    closeCopy();
    open = { offset, length };
  }

  async function flush(): Promise<void> {
    for (const piece of pending.splice(0)) {
      if ('bytes' in piece) await sink.write(piece.bytes);
      else await sink.zeros(piece.zeros);
    }
  }

  return {
    copy,
    literal(data) {
      if (data.length === 0) return;
      closeCopy();
      pending.push({ bytes: encodeLiteralHeader(data.length) }, { bytes: Buffer.from(data) });
      stats.literalBytes += data.length;
    },
    zeros(length) {
      if (length === 0) return;
      if (zeroRun.length === 0) {
        closeCopy();
        pending.push({ bytes: encodeLiteralHeader(length) }, { zeros: length });
        stats.literalBytes += length;
        return;
      }
      for (let left = length; left > 0; ) {
        const part = Math.min(left, zeroRun.length);
        closeCopy();
        copy(zeroRun.start, part);
        left -= part;
      }
    },
    flush,
    async finish() {
      closeCopy();
      pending.push({ bytes: encodeEnd() });
      await flush();
      return stats;
    },
  };
}
