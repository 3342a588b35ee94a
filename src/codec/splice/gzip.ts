import { FormatError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';

/** RFC 1952 2.3: the parts of a member that are not deflated. */
const FIXED = 10;
const TRAILER = 8;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;
const FHCRC = 2;
/** Limit of a header, which is a name and a few numbers. */
const MAX_HEADER = 1 << 16;

export const isGzip = (head: Uint8Array): boolean =>
  head[0] === 0x1f && head[1] === 0x8b && head[2] === 8;

/** Where the deflate stream is, if this is one member. Throws FormatError `GZIP`. */
export async function readGzip(source: Source): Promise<{ start: number; length: number }> {
  const damaged = () =>
    new FormatError(`${source.name} is a gzip file with a malformed header`, {
      code: 'GZIP',
      context: { file: source.name },
    });
  const head = Buffer.alloc(Math.min(MAX_HEADER, source.size));
  await source.read(head, 0);
  if (!isGzip(head) || head.length < FIXED + TRAILER) throw damaged();
  const flags = head[3] ?? 0;
  let at = FIXED;
  if (flags & FEXTRA) at += 2 + (at + 2 <= head.length ? head.readUInt16LE(at) : MAX_HEADER);
  for (const flag of [FNAME, FCOMMENT]) {
    if ((flags & flag) === 0) continue;
    const end = head.indexOf(0, at);
    if (end === -1) throw damaged();
    at = end + 1;
  }
  if (flags & FHCRC) at += 2;
  const length = source.size - TRAILER - at;
  if (at > head.length || length <= 0) throw damaged();
  return { start: at, length };
}
