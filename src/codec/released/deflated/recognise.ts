import { UnsupportedError } from '../../../core/errors.ts';
import { sliceSource } from '../../../core/io/slice-source.ts';
import type { Source } from '../../../core/io/source.ts';
import { dataRange, onlyEntry, STORED } from '../../../formats/zip/directory.ts';
import { likelyDeflaters } from '../../deflate/decode.ts';
import { readGzip } from '../../splice/gzip.ts';
import type { ReleasedContext } from '../context.ts';
import type { DeflatedLayer } from '../layer.ts';
import { unknownLayer } from '../unknown.ts';

/** Of head and tail, each: a header, or a directory of one file. */
const MAX_AROUND = 64 << 10;

/** A gzip file of one member (RFC 1952). */
export async function recogniseGzip(
  source: Source,
  { signal }: ReleasedContext,
): Promise<DeflatedLayer[]> {
  const range = await readGzip(source);
  const around = await readAround(source, range);
  const stream = sliceSource(source, range.start, range.length);
  const found = await likelyDeflaters(stream, signal);
  if (found.length === 0) throw unknownLayer(source.name);
  return found.map((deflater) => ({ kind: 'gz', ...around, deflater }));
}

/** A zip of one file. */
export async function recogniseZip(
  source: Source,
  { signal }: ReleasedContext,
): Promise<DeflatedLayer[]> {
  const entry = await onlyEntry(source);
  const range = await dataRange(source, entry);
  const around = await readAround(source, range);
  if (entry.method === STORED) return [{ kind: 'zip', ...around }];
  const stream = sliceSource(source, range.start, range.length);
  const found = await likelyDeflaters(stream, signal);
  if (found.length === 0) throw unknownLayer(source.name);
  return found.map((deflater) => ({ kind: 'zip', ...around, deflater }));
}

async function readAround(source: Source, range: { start: number; length: number }) {
  const end = range.start + range.length;
  if (range.start > MAX_AROUND || source.size - end > MAX_AROUND) {
    throw new UnsupportedError(`${source.name} has too much around its deflate stream`, {
      code: 'RELEASED_UNKNOWN',
      context: { file: source.name, limit: MAX_AROUND },
    });
  }
  const head = Buffer.alloc(range.start);
  await source.read(head, 0);
  const tail = Buffer.alloc(source.size - end);
  await source.read(tail, end);
  return { head: head.toString('base64'), tail: tail.toString('base64') };
}
